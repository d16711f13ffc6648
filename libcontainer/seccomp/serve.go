// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"encoding/json"
	"io"
)

// Serve answers one question of a program without libseccomp (compile_nocgo.go).
func Serve(in io.Reader, out io.Writer) error {
	var q question
	if err := json.NewDecoder(in).Decode(&q); err != nil {
		return err
	}
	var a answer
	if q.Profile == nil {
		f := Support()
		a.Features = &f
	} else if f, warnings, err := Compile(q.Profile); err != nil {
		a.Error = err.Error()
	} else {
		a.Filter, a.Warnings = f, warnings
	}
	return json.NewEncoder(out).Encode(a)
}
