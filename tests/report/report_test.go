// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const events = `{"Action":"run","Package":"p","Test":"TestGroup"}
{"Action":"run","Package":"p","Test":"TestGroup/good"}
{"Action":"pass","Package":"p","Test":"TestGroup/good"}
{"Action":"run","Package":"p","Test":"TestGroup/bad"}
{"Action":"output","Package":"p","Test":"TestGroup/bad","Output":"    p_test.go:7: got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestGroup/bad"}
{"Action":"fail","Package":"p","Test":"TestGroup"}
{"Action":"output","Package":"p","Test":"TestSkipped","Output":"    p_test.go:9: missing: root\n"}
{"Action":"output","Package":"p","Test":"TestSkipped","Output":"--- SKIP: TestSkipped (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestSkipped"}
{"Action":"output","Package":"p","Test":"TestQuiet","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestQuiet"}
{"Action":"output","Package":"p","Test":"TestHung","Output":"waiting\n"}
{"Action":"output","Package":"p","Output":"panic: test timed out\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
{"Action":"output","Package":"q","Output":"ok  \tq\t0.2s\n"}
{"Action":"pass","Package":"q"}
not an event
`

const shown = `--- FAIL: p TestGroup/bad
    p_test.go:7: got 1, want 2
panic: test timed out
FAIL	p	0.1s
--- FAIL: p TestHung did not end
waiting
ok  	q	0.2s
not an event
skipped: missing: root (1)
`

func TestOnlyFailuresAndVerdictsAreShown(t *testing.T) {
	var out strings.Builder
	r := newReport(&out)
	if err := r.read(strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	r.skips()
	if out.String() != shown {
		t.Errorf("shown:\n%s\nwant:\n%s", out.String(), shown)
	}
	path := filepath.Join(t.TempDir(), "counts")
	if err := r.append(path); err != nil {
		t.Fatal(err)
	}
	counts, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(counts), "2 2 1\n"; got != want {
		t.Errorf("counts = %q, want %q", got, want)
	}
}
