// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// orphanTime is how often a shim without containers looks for its bundle.
const orphanTime = 10 * time.Second

// EndOrphan ends the shim when it has neither a container nor a bundle: a
// containerd that was killed before its Create, or before its Shutdown, forgets
// us and removes the bundle, and nobody would ever ask us to end. With a
// container the shim is never woken for this.
func (s *Service) EndOrphan(bundle string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lonely = time.AfterFunc(orphanTime, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.containers) > 0 || s.over {
			return
		}
		if _, err := os.Stat(bundle); errors.Is(err, fs.ErrNotExist) {
			s.over = true
			s.done()
			return
		}
		s.lonely.Reset(orphanTime)
	})
	if len(s.containers) > 0 {
		s.lonely.Stop()
	}
}
