//go:build tools

// Package tools names the real Pulumi CLI, so that go.mod and go.sum pin every module its build needs.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
