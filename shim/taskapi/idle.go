// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"context"
	"time"

	"github.com/containerd/ttrpc"

	"berth/internal/residency"
)

// idleTime is how long nobody has to ask for anything before we shrink: most
// shims are idle for all but the first second of their lives.
const idleTime = time.Second

// idle shrinks the process when no request has begun or ended for idleTime. A
// Wait that is pending is no obstacle.
type idle struct{ timer *time.Timer }

func newIdle() *idle { return &idle{time.AfterFunc(idleTime, residency.Shrink)} }

func (i *idle) intercept(ctx context.Context, decode ttrpc.Unmarshaler, _ *ttrpc.UnaryServerInfo, method ttrpc.Method) (any, error) {
	i.timer.Reset(idleTime)
	defer i.timer.Reset(idleTime)
	return method(ctx, decode)
}
