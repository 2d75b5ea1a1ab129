// Command automation drives stacks as programs do, through Pulumi's Automation API for Go.
//
// Its argument names the story; the environment is that of the CLI. It ends with 1 and a line at the first thing that
// is not as it must be.
package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

var stories = map[string]func(context.Context){
	"life":       life,
	"errors":     errors,
	"references": references,
	"components": components,
	"panic":      panics,
}

func main() {
	if len(os.Args) != 2 || stories[os.Args[1]] == nil {
		fmt.Println("name one story")
		os.Exit(2)
	}
	stories[os.Args[1]](context.Background())
}

// expect ends the program unless both are the same.
func expect(what string, got, expected any) {
	if !reflect.DeepEqual(got, expected) {
		fmt.Printf("%s: %#v, expected %#v\n", what, got, expected)
		os.Exit(1)
	}
}

func must[T any](value T, err error) T {
	no(err)
	return value
}

func no(err error) {
	if err != nil {
		fmt.Println(err)
		panic("this was to succeed")
	}
}

func stash(name, input string) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		made, err := pulumi.NewStash(ctx, name, &pulumi.StashArgs{Input: pulumi.String(input)})
		if err != nil {
			return err
		}
		ctx.Export("plain", made.Output)
		ctx.Export("hidden", pulumi.ToSecret(pulumi.String("hush-1234")))
		return nil
	}
}

func life(ctx context.Context) {
	stack := must(auto.NewStackInlineSource(ctx, "dev", "life", stash("a", "one")))
	no(stack.SetConfig(ctx, "color", auto.ConfigValue{Value: "red"}))
	no(stack.SetConfig(ctx, "token", auto.ConfigValue{Value: "hush-5678", Secret: true}))
	expect("config", must(stack.GetAllConfig(ctx)), auto.ConfigMap{
		"life:color": {Value: "red"}, "life:token": {Value: "hush-5678", Secret: true},
	})

	up := must(stack.Up(ctx, optup.Message("the first")))
	expect("plain", up.Outputs["plain"], auto.OutputValue{Value: "one"})
	expect("hidden", up.Outputs["hidden"], auto.OutputValue{Value: "hush-1234", Secret: true})
	expect("result", up.Summary.Result, "succeeded")
	expect("changes", *up.Summary.ResourceChanges, map[string]int{"create": 2})
	expect("outputs", must(stack.Outputs(ctx)), up.Outputs)
	expect("preview", must(stack.Preview(ctx)).ChangeSummary["same"], 2)
	history := must(stack.History(ctx, 10, 1))
	expect("updates", len(history), 1)
	// The quotes are the Automation API's own.
	expect("message", history[0].Message, `"the first"`)
	expect("version", history[0].Version, 1)

	state := must(stack.Export(ctx))
	no(stack.Import(ctx, state))
	expect("state after import", stringOf(must(stack.Export(ctx)).Deployment), stringOf(state.Deployment))
	no(stack.SetTag(ctx, "team", "blue"))
	expect("tag", must(stack.ListTags(ctx))["team"], "blue")
	must(stack.Refresh(ctx))
	listed := must(stack.Workspace().ListStacks(ctx))
	expect("stacks", len(listed), 1)
	// The stack, its thing, and the provider of that.
	expect("count", *listed[0].ResourceCount, 3)
	expect("info", must(stack.Info(ctx)).Current, true)

	destroyed := must(stack.Destroy(ctx))
	expect("deleted", (*destroyed.Summary.ResourceChanges)["delete"], 2)
	expect("kinds", kinds(must(stack.History(ctx, 0, 0))), "destroy refresh import update")
	no(stack.Workspace().RemoveStack(ctx, "dev"))
	_, err := auto.SelectStackInlineSource(ctx, "dev", "life", stash("a", "one"))
	expect("a stack that is gone", auto.IsSelectStack404Error(err), true)
}

func kinds(history []auto.UpdateSummary) string {
	var all []string
	for _, update := range history {
		all = append(all, update.Kind)
	}
	return strings.Join(all, " ")
}

// stringOf is a deployment without the time of its export.
func stringOf(deployment []byte) string {
	_, resources, _ := strings.Cut(string(deployment), `"resources"`)
	return resources
}

func errors(ctx context.Context) {
	program := stash("a", "one")
	_, err := auto.SelectStackInlineSource(ctx, "dev", "errors", program)
	expect("a stack that is not there", auto.IsSelectStack404Error(err), true)
	stack := must(auto.NewStackInlineSource(ctx, "dev", "errors", program))
	_, err = auto.NewStackInlineSource(ctx, "dev", "errors", program)
	expect("a stack that is there", auto.IsCreateStack409Error(err), true)

	// While the first one's program runs, another update is refused.
	inside, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	stack.Workspace().SetProgram(func(ctx *pulumi.Context) error {
		close(inside)
		<-goOn
		return program(ctx)
	})
	go func() {
		_, err := stack.Up(ctx)
		ended <- err
	}()
	<-inside
	second := must(auto.SelectStackInlineSource(ctx, "dev", "errors", program))
	_, err = second.Up(ctx)
	expect("a concurrent update", auto.IsConcurrentUpdateError(err), true)
	close(goOn)
	no(<-ended)
	expect("what the first one made", must(second.Outputs(ctx))["plain"].Value, "one")
}

func references(ctx context.Context) {
	source := must(auto.NewStackInlineSource(ctx, "dev", "source", stash("a", "one")))
	must(source.Up(ctx))
	reader := must(auto.NewStackInlineSource(ctx, "dev", "reader", func(ctx *pulumi.Context) error {
		other, err := pulumi.NewStackReference(ctx, "organization/source/dev", nil)
		if err != nil {
			return err
		}
		ctx.Export("plain", other.GetOutput(pulumi.String("plain")))
		ctx.Export("hidden", other.GetOutput(pulumi.String("hidden")))
		return nil
	}))
	outputs := must(reader.Up(ctx)).Outputs
	expect("plain", outputs["plain"], auto.OutputValue{Value: "one"})
	expect("hidden", outputs["hidden"], auto.OutputValue{Value: "hush-1234", Secret: true})
}

type group struct{ pulumi.ResourceState }

// components moves children from one component to another, by alias: nothing is made anew.
func components(ctx context.Context) {
	with := func(parent string, aliases ...pulumi.Alias) pulumi.RunFunc {
		return func(ctx *pulumi.Context) error {
			component := &group{}
			if err := ctx.RegisterComponentResource("test:index:Group", parent, component); err != nil {
				return err
			}
			for _, name := range []string{"a", "b"} {
				args := &pulumi.StashArgs{Input: pulumi.String(name)}
				if _, err := pulumi.NewStash(ctx, name, args, pulumi.Parent(component), pulumi.Aliases(aliases)); err != nil {
					return err
				}
			}
			return ctx.RegisterResourceOutputs(component, pulumi.Map{"n": pulumi.Int(2)})
		}
	}
	stack := must(auto.NewStackInlineSource(ctx, "dev", "components", with("old")))
	expect("made", *must(stack.Up(ctx)).Summary.ResourceChanges, map[string]int{"create": 4})
	old := pulumi.URN("urn:pulumi:dev::components::test:index:Group::old")
	stack.Workspace().SetProgram(with("new", pulumi.Alias{ParentURN: old}))
	changes := *must(stack.Up(ctx)).Summary.ResourceChanges
	expect("moved", changes, map[string]int{"create": 1, "delete": 1, "same": 3})
	expect("afterwards", *must(stack.Up(ctx)).Summary.ResourceChanges, map[string]int{"same": 4})
}

// panics fails in the middle; what it had made by then is in the state, and the next program goes on from there.
func panics(ctx context.Context) {
	stack := must(auto.NewStackInlineSource(ctx, "dev", "panics", func(ctx *pulumi.Context) error {
		made := must(pulumi.NewStash(ctx, "a", &pulumi.StashArgs{Input: pulumi.String("one")}))
		wait := make(chan struct{})
		made.URN().ApplyT(func(pulumi.URN) string { close(wait); return "" })
		<-wait
		panic("as the test asked")
	}))
	_, err := stack.Up(ctx)
	expect("an error", err != nil && strings.Contains(err.Error(), "as the test asked"), true)
	deployment := string(must(stack.Export(ctx)).Deployment)
	expect("a is in the state", strings.Contains(deployment, "pulumi:index:Stash::a"), true)
	expect("nothing is pending", strings.Contains(deployment, "pending_operations"), false)

	stack.Workspace().SetProgram(stash("a", "one"))
	expect("goes on", *must(stack.Up(ctx)).Summary.ResourceChanges, map[string]int{"same": 2})
}
