// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
)

func TestAShimWithoutContainersEndsWithItsBundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bundle := t.TempDir() + "/b"
		if err := os.Mkdir(bundle, 0o700); err != nil {
			t.Fatal(err)
		}
		over := 0
		s := NewService("test", func(string, proto.Message) {}, func(error) {}, func() { over++ })
		s.EndOrphan(bundle)
		time.Sleep(10 * orphanTime)
		if over != 0 {
			t.Fatal("ended though it has a bundle")
		}
		if err := s.claim(&container{id: "web"}); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(bundle); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * orphanTime)
		if over != 0 {
			t.Fatal("ended though it has a container")
		}
		s.forget("web")
		time.Sleep(2 * orphanTime)
		if over != 1 {
			t.Errorf("ended %d times", over)
		}
		if err := s.claim(&container{id: "late"}); err != errOver {
			t.Errorf("a container after the end: %v", err)
		}
	})
}
