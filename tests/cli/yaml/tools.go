//go:build tools

// Package tools names the YAML language host, so that go.mod and go.sum pin every module its build needs.
// go.mod raises what it shares with the CLI to the CLI's versions: the two builds then share compiled packages.
package tools

import _ "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml"
