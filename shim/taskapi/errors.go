// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"berth/libcontainer"
	"berth/libcontainer/cgroup/stats"
	"berth/shim/stdio"
	"berth/shim/supervise"
)

// errorCodes are the classes of errors that containerd's client decides on.
var errorCodes = []struct {
	err  error
	code codes.Code
}{
	{supervise.ErrNotFound, codes.NotFound},
	{stats.ErrGone, codes.NotFound},
	{supervise.ErrExists, codes.AlreadyExists},
	{libcontainer.ErrExists, codes.AlreadyExists},
	{supervise.ErrState, codes.FailedPrecondition},
	{supervise.ErrNotImplemented, codes.Unimplemented},
	{errInvalid, codes.InvalidArgument},
	{stdio.ErrAddress, codes.InvalidArgument},
	{errOver, codes.Unavailable},
	{context.Canceled, codes.Canceled},
	{context.DeadlineExceeded, codes.DeadlineExceeded},
}

// coded gives an error the status that goes over the wire; any other is Unknown.
func coded(err error) error {
	for _, e := range errorCodes {
		if errors.Is(err, e.err) {
			return status.Error(e.code, worded(err))
		}
	}
	return status.Error(codes.Unknown, worded(err))
}

// worded is what berth itself prints of an error: its text, and the hint if there is one.
func worded(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		return err.Error() + "; hint: " + h.Hint()
	}
	return err.Error()
}
