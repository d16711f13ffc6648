// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/config"
)

// hookPoint is one of the six lists.
type hookPoint struct {
	name string
	from func(*specs.Hooks) []specs.Hook
	to   func(*config.Hooks) *[]config.Hook
}

var hookPoints = []hookPoint{
	{"prestart", func(h *specs.Hooks) []specs.Hook { return h.Prestart }, func(h *config.Hooks) *[]config.Hook { return &h.Prestart }},
	{"createRuntime", func(h *specs.Hooks) []specs.Hook { return h.CreateRuntime }, func(h *config.Hooks) *[]config.Hook { return &h.CreateRuntime }},
	{"createContainer", func(h *specs.Hooks) []specs.Hook { return h.CreateContainer }, func(h *config.Hooks) *[]config.Hook { return &h.CreateContainer }},
	{"startContainer", func(h *specs.Hooks) []specs.Hook { return h.StartContainer }, func(h *config.Hooks) *[]config.Hook { return &h.StartContainer }},
	{"poststart", func(h *specs.Hooks) []specs.Hook { return h.Poststart }, func(h *config.Hooks) *[]config.Hook { return &h.Poststart }},
	{"poststop", func(h *specs.Hooks) []specs.Hook { return h.Poststop }, func(h *config.Hooks) *[]config.Hook { return &h.Poststop }},
}

func (c *converter) hooks() error {
	if c.spec.Hooks == nil {
		return nil
	}
	for _, p := range hookPoints {
		for i, h := range p.from(c.spec.Hooks) {
			field := fmt.Sprintf("hooks.%s[%d]", p.name, i)
			out := config.Hook{Path: h.Path, Args: h.Args, Env: h.Env}
			if !filepath.IsAbs(h.Path) {
				return fmt.Errorf("%s.path: %q is not an absolute path", field, h.Path)
			}
			for _, s := range slices.Concat([]string{h.Path}, h.Args, h.Env) {
				if strings.IndexByte(s, 0) >= 0 {
					return fmt.Errorf("%s: %q contains a NUL byte", field, s)
				}
			}
			if h.Timeout != nil {
				if *h.Timeout <= 0 || *h.Timeout > math.MaxInt32 {
					return fmt.Errorf("%s.timeout: must be greater than 0 and less than 2^31 seconds", field)
				}
				out.Timeout = *h.Timeout
			}
			list := p.to(&c.out.Hooks)
			*list = append(*list, out)
		}
	}
	return nil
}
