// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// opJSON is one operation in the JSON form.
type opJSON struct {
	Index  int    `json:"index"`
	Phase  string `json:"phase"`
	Origin string `json:"origin"`
	Op     string `json:"op"`
}

type fileJSON struct {
	Descriptor int      `json:"descriptor"`
	Kind       FileKind `json:"kind"`
	Path       string   `json:"path,omitempty"`
}

type stepJSON struct {
	Barrier int      `json:"barrier"`
	Step    StepKind `json:"step"`
	Origin  string   `json:"origin,omitempty"`
}

// Text prints the plan phase by phase: the descriptors that the image starts
// with, the parent's steps, and each operation with its origin.
func (p *Plan) Text(w io.Writer) error {
	e := &errWriter{w: w}
	if len(p.Cgroup) > 0 {
		e.printf("cgroup:\n")
	}
	for _, s := range p.Cgroup {
		e.printf("  %s", s.Do)
		if s.Origin != "" {
			e.printf("  # %s", s.Origin)
		}
		e.printf("\n")
	}
	e.printf("descriptors:\n")
	for n, f := range p.Files {
		e.printf("  %3d  %s\n", n, strings.TrimSpace(string(f.Kind)+" "+f.Path))
	}
	if p.Cloneflags != 0 {
		e.printf("clone with %s\n", cloneNames(p.Cloneflags))
	}
	if len(p.Steps) > 0 {
		e.printf("steps of the runtime:\n")
		for n, s := range p.Steps {
			e.printf("  barrier %d: %s (%s)\n", n, s.Kind, s.Origin)
		}
	}
	phase, origin := "", ""
	for i, o := range p.Program.Ops {
		if o.Phase != phase {
			phase, origin = o.Phase, ""
			e.printf("%s:\n", phase)
		}
		if o.Origin != origin {
			origin = o.Origin
			e.printf("  # %s\n", origin)
		}
		e.printf("  %4d  %s\n", i, p.Program.FormatOp(i))
	}
	for _, warning := range p.Warnings {
		e.printf("warning: %s\n", warning)
	}
	return e.err
}

// JSON prints the same as one object.
func (p *Plan) JSON(w io.Writer) error {
	out := struct {
		Cgroup   []CgroupStep `json:"cgroup,omitempty"`
		Clone    string       `json:"clone"`
		TwoStage bool         `json:"twoStage"`
		Files    []fileJSON   `json:"descriptors"`
		Steps    []stepJSON   `json:"steps"`
		Ops      []opJSON     `json:"operations"`
		Warnings []string     `json:"warnings,omitempty"`
	}{Cgroup: p.Cgroup, Clone: cloneNames(p.Cloneflags), TwoStage: p.TwoStage, Warnings: p.Warnings}
	for n, f := range p.Files {
		out.Files = append(out.Files, fileJSON{n, f.Kind, f.Path})
	}
	for n, s := range p.Steps {
		out.Steps = append(out.Steps, stepJSON{n, s.Kind, s.Origin})
	}
	for i, o := range p.Program.Ops {
		out.Ops = append(out.Ops, opJSON{i, o.Phase, o.Origin, p.Program.FormatOp(i)})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

func cloneNames(flags uintptr) string {
	s := ""
	for _, f := range []struct {
		flag uintptr
		name string
	}{
		{0x20000, "CLONE_NEWNS"}, {0x20000000, "CLONE_NEWPID"}, {0x40000000, "CLONE_NEWNET"},
		{0x08000000, "CLONE_NEWIPC"}, {0x04000000, "CLONE_NEWUTS"},
	} {
		if flags&f.flag != 0 {
			if s != "" {
				s += "|"
			}
			s += f.name
		}
	}
	return s
}

// errWriter keeps the first error.
type errWriter struct {
	w   io.Writer
	err error
}

func (e *errWriter) printf(format string, args ...any) {
	if e.err == nil {
		_, e.err = fmt.Fprintf(e.w, format, args...)
	}
}
