package main

import (
	"context"
	_ "embed"
	"fmt"
	"reflect"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

//go:embed schema.json
var schema string

// replaceFirst are the properties whose change makes a new thing before the old one goes;
// a change of "slot" deletes the old thing first, as a slot has room for one.
var replaceFirst = []string{"name", "generation"}

// worldProvider answers the engine. Its only state is whether it was cancelled.
type worldProvider struct {
	pulumirpc.UnimplementedResourceProviderServer

	world     world
	cancelled chan struct{}
	cancel    sync.Once
}

func newProvider(w world) *worldProvider {
	return &worldProvider{world: w, cancelled: make(chan struct{})}
}

func (p *worldProvider) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "1.0.0"}, nil
}

func (p *worldProvider) GetSchema(
	context.Context, *pulumirpc.GetSchemaRequest,
) (*pulumirpc.GetSchemaResponse, error) {
	return &pulumirpc.GetSchemaResponse{Schema: schema}, nil
}

func (p *worldProvider) CheckConfig(
	_ context.Context, request *pulumirpc.CheckRequest,
) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: request.GetNews()}, nil
}

func (p *worldProvider) DiffConfig(
	context.Context, *pulumirpc.DiffRequest,
) (*pulumirpc.DiffResponse, error) {
	return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
}

func (p *worldProvider) Configure(
	context.Context, *pulumirpc.ConfigureRequest,
) (*pulumirpc.ConfigureResponse, error) {
	return &pulumirpc.ConfigureResponse{}, nil
}

// Check gives a thing without a name the name of its resource.
func (p *worldProvider) Check(
	_ context.Context, request *pulumirpc.CheckRequest,
) (*pulumirpc.CheckResponse, error) {
	inputs := request.GetNews()
	if inputs == nil {
		inputs = &structpb.Struct{}
	}
	if inputs.Fields == nil {
		inputs.Fields = map[string]*structpb.Value{}
	}
	if _, isNamed := inputs.Fields["name"]; !isNamed {
		name := resource.URN(request.GetUrn()).Name()
		inputs.Fields["name"] = structpb.NewStringValue(name)
	}
	return &pulumirpc.CheckResponse{Inputs: inputs}, nil
}

// Diff compares what the program wants with what was last seen of the thing, so that a drift found by a
// refresh is put right by the next update.
func (p *worldProvider) Diff(
	_ context.Context, request *pulumirpc.DiffRequest,
) (*pulumirpc.DiffResponse, error) {
	olds, news := request.GetOlds().AsMap(), request.GetNews().AsMap()
	response := &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}
	for _, key := range changedKeys(olds, news) {
		response.Changes = pulumirpc.DiffResponse_DIFF_SOME
		response.Diffs = append(response.Diffs, key)
		for _, replaceKey := range append([]string{"slot"}, replaceFirst...) {
			if key == replaceKey {
				response.Replaces = append(response.Replaces, key)
			}
		}
		response.DeleteBeforeReplace = response.DeleteBeforeReplace || key == "slot"
	}
	return response, nil
}

func changedKeys(olds, news map[string]any) []string {
	var keys []string
	for key, value := range news {
		if !reflect.DeepEqual(olds[key], value) {
			keys = append(keys, key)
		}
	}
	for key := range olds {
		if _, isKept := news[key]; !isKept {
			keys = append(keys, key)
		}
	}
	return keys
}

func (p *worldProvider) Create(
	_ context.Context, request *pulumirpc.CreateRequest,
) (*pulumirpc.CreateResponse, error) {
	properties := request.GetProperties()
	name := nameOf(properties)
	var id string
	err := p.do("create", name, func() (string, error) {
		made, err := p.world.create(name, properties.AsMap())
		id = made
		return made, err
	})
	if err != nil {
		return nil, err
	}
	if p.world.mustFail("partial", "create", name) {
		return nil, notInitialized(id, properties)
	}
	return &pulumirpc.CreateResponse{Id: id, Properties: properties}, nil
}

func (p *worldProvider) Update(
	_ context.Context, request *pulumirpc.UpdateRequest,
) (*pulumirpc.UpdateResponse, error) {
	id, properties := request.GetId(), request.GetNews()
	name := nameOf(properties)
	err := p.do("update", name, func() (string, error) {
		return id, p.world.write(id, properties.AsMap())
	})
	if err != nil {
		return nil, err
	}
	if p.world.mustFail("partial", "update", name) {
		return nil, notInitialized(id, properties)
	}
	return &pulumirpc.UpdateResponse{Properties: properties}, nil
}

func (p *worldProvider) Delete(
	_ context.Context, request *pulumirpc.DeleteRequest,
) (*emptypb.Empty, error) {
	id := request.GetId()
	err := p.do("delete", nameOf(request.GetProperties()), func() (string, error) {
		return id, p.world.delete(id)
	})
	return &emptypb.Empty{}, err
}

// Read answers with an empty id where the thing is gone.
func (p *worldProvider) Read(
	_ context.Context, request *pulumirpc.ReadRequest,
) (*pulumirpc.ReadResponse, error) {
	id := request.GetId()
	found, err := p.world.read(id)
	if err != nil {
		return nil, err
	}
	name := nameOf(request.GetProperties())
	if name == "" {
		name, _ = found["name"].(string)
	}
	if err := p.do("read", name, func() (string, error) { return id, nil }); err != nil {
		return nil, err
	}
	if found == nil {
		return &pulumirpc.ReadResponse{}, nil
	}
	properties, err := structpb.NewStruct(found)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.ReadResponse{Id: id, Properties: properties, Inputs: properties}, nil
}

// Cancel ends every operation that waits.
func (p *worldProvider) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	p.cancel.Do(func() { close(p.cancelled) })
	return &emptypb.Empty{}, nil
}

// do carries out one operation with the failures and waits that the test asked for; `act` returns the id.
func (p *worldProvider) do(operation, name string, act func() (string, error)) error {
	if err := p.world.hang("hang", operation, name, p.cancelled); err != nil {
		return err
	}
	if p.world.mustFail("fail", operation, name) {
		return fmt.Errorf("%s of %s fails, as the test asked", operation, name)
	}
	id, err := act()
	if err != nil {
		return err
	}
	if err := p.world.note(operation, name, id); err != nil {
		return err
	}
	return p.world.hang("hang-after", operation, name, p.cancelled)
}

// notInitialized is how a provider says: the thing exists, but is not ready.
func notInitialized(id string, properties *structpb.Struct) error {
	detail := pulumirpc.ErrorResourceInitFailed{
		Id:         id,
		Properties: properties,
		Reasons:    []string{"not ready, as the test asked"},
		Inputs:     properties,
	}
	return rpcerror.WithDetails(rpcerror.New(codes.Unknown, "not ready"), &detail)
}

func nameOf(properties *structpb.Struct) string {
	return properties.GetFields()["name"].GetStringValue()
}
