// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestParseTAP(t *testing.T) {
	text := "TAP version 13\nok 1 - a\n  ---\n  stdout: |\n    not ok 1 - quoted\n  ...\nnot ok 2 - b\nok 3 - c # SKIP no such kernel\n1..3\n"
	got := parseTAP(text)
	if got.pass != 1 || got.fail != 1 || got.skip != 1 {
		t.Errorf("pass, fail, skip = %d, %d, %d, want 1, 1, 1", got.pass, got.fail, got.skip)
	}
	if len(got.failures) != 1 || got.failures[0] != "b" {
		t.Errorf("failures = %q, want [b]", got.failures)
	}
}

func TestParseTAPWithoutResults(t *testing.T) {
	if got := parseTAP("TAP version 13\n1..0\n"); !got.ok() {
		t.Errorf("a program without complaints = %v, want a pass", got)
	}
	got := parseTAP("TAP version 13\n  ---\n  {\n    \"error\": \"why\"\n  }\n  ...\n1..0\n")
	if got.ok() || len(got.failures) != 1 {
		t.Errorf("a program that complains = %v %q, want a failure", got, got.failures)
	}
}

func TestReasonsFile(t *testing.T) {
	if _, err := parseReasons(reasonsText); err != nil {
		t.Error(err)
	}
	got, err := parseReasons("# c\n\na: one\n  two\nb: three\n")
	if err != nil || got["a"] != "one two" || got["b"] != "three" {
		t.Errorf("reasons = %v, %v", got, err)
	}
}
