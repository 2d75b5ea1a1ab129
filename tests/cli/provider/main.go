// Command pulumi-resource-world is a resource provider whose resources are files in the folder WORLD_DIR.
//
// A test looks into that folder to see what exists beside what a stack's state says, and puts files there to
// say what shall fail or hang:
//
//	things/<id>.json            one thing that exists: its properties
//	log                         a line for each finished operation: "create web web-1f2e3d"
//	inside/<operation>-<name>   the operation has begun and waits
//	control/fail-<operation>-<name>         it fails; nothing is done
//	control/partial-<operation>-<name>      it is done, but reported as not initialized (create, update)
//	control/hang-<operation>-<name>         it waits before it does anything, until this file is gone
//	control/hang-after-<operation>-<name>   it waits after it is done and before it reports, until this file is gone
//
// Operations are create, read, update and delete. A waiting operation goes on waiting when the engine cancels
// it, unless its file reads "until cancelled": then it fails. When the CLI is killed, the process ends.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/provider"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// How often the provider looks whether the CLI that started it is still there.
const parentStep = 20 * time.Millisecond

// The CLI that started this process.
var parent = os.Getppid()

func main() {
	go func() {
		for {
			endIfOrphaned()
			time.Sleep(parentStep)
		}
	}()
	err := provider.Main("world", func(*provider.HostClient) (pulumirpc.ResourceProviderServer, error) {
		dir := os.Getenv("WORLD_DIR")
		if dir == "" {
			return nil, fmt.Errorf("WORLD_DIR is not set: it names the folder that holds the things")
		}
		return newProvider(world{dir: dir}), nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-world:", err)
		os.Exit(1)
	}
}

// endIfOrphaned ends this process when the CLI was killed: nobody is left who could be told anything.
func endIfOrphaned() {
	if os.Getppid() != parent {
		os.Exit(1)
	}
}
