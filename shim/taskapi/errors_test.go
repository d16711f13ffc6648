// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type hinted struct{ error }

func (hinted) Hint() string { return "try this" }

// The hint of an error comes to the user through containerd and Docker too.
func TestCodedKeepsTheHint(t *testing.T) {
	err := coded(fmt.Errorf("create: %w", hinted{errors.New("mounts[3]: not a directory")}))
	if got := status.Convert(err); got.Code() != codes.Unknown || got.Message() != "create: mounts[3]: not a directory; hint: try this" {
		t.Errorf("got %v %q", got.Code(), got.Message())
	}
	if got := status.Convert(coded(errInvalid)).Message(); got != "invalid argument" {
		t.Errorf("got %q", got)
	}
}
