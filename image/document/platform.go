// SPDX-License-Identifier: Apache-2.0

package document

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrNoPlatform is for an index without an image for the wanted platform.
var ErrNoPlatform = errors.New("no image for the platform")

// architectures are the names that others use, by Go's, which images have.
var architectures = map[string]ocispec.Platform{
	"x86_64":  {Architecture: "amd64"},
	"x86-64":  {Architecture: "amd64"},
	"aarch64": {Architecture: "arm64"},
	"armhf":   {Architecture: "arm", Variant: "v7"},
	"armel":   {Architecture: "arm", Variant: "v6"},
	"i386":    {Architecture: "386"},
	"i686":    {Architecture: "386"},
}

// systems and processors are those that images can be for: GOOS and GOARCH.
var (
	systems    = []string{"linux", "windows", "darwin", "freebsd", "wasip1", "wasi"}
	processors = []string{"386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x", "wasm"}
)

// baseline is the variant that an architecture without one stands for.
var baseline = map[string]string{"amd64": "v1", "arm": "v7", "arm64": "v8"}

// HostPlatform is what this program was built for.
func HostPlatform() ocispec.Platform {
	p := ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	if p.Architecture == "arm64" {
		p.Variant = "v8"
	}
	return p
}

// ParsePlatform reads "linux/arm64", "linux/arm/v7" or "arm64".
func ParsePlatform(s string) (ocispec.Platform, error) {
	parts := strings.Split(strings.ToLower(s), "/")
	if len(parts) == 1 && parts[0] != "linux" {
		parts = []string{"linux", parts[0]}
	}
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return ocispec.Platform{}, fmt.Errorf("platform %q: want OS/ARCHITECTURE[/VARIANT]", s)
	}
	p := ocispec.Platform{Architecture: parts[1]}
	if known, ok := architectures[parts[1]]; ok {
		p = known
	}
	p.OS = parts[0]
	if !slices.Contains(systems, p.OS) || !slices.Contains(processors, p.Architecture) {
		return ocispec.Platform{}, fmt.Errorf("platform %q: unknown (hint: OS/ARCHITECTURE[/VARIANT], such as linux/amd64 or linux/arm/v7)", s)
	}
	if len(parts) == 3 {
		p.Variant = parts[2]
	} else if p.Architecture == "arm64" {
		p.Variant = "v8"
	}
	return p, nil
}

// FormatPlatform is the reverse of ParsePlatform.
func FormatPlatform(p ocispec.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// Select finds the manifest, or nested index, of an index for a platform: the
// one with the highest variant that the platform can run, and of these the
// first; image-spec image-index.md. Images that need features of the system
// which want does not have (os.features) are left out.
func Select(index *ocispec.Index, want ocispec.Platform) (ocispec.Descriptor, error) {
	best, found := -1, ocispec.Descriptor{}
	var there []string
	for _, d := range index.Manifests {
		if d.Platform == nil || d.Platform.OS == "unknown" || !IsManifest(d.MediaType) && !IsIndex(d.MediaType) {
			continue // "unknown" are attestations
		}
		there = append(there, FormatPlatform(*d.Platform))
		if rank := Rank(*d.Platform, want); rank > best {
			best, found = rank, d
		}
	}
	switch {
	case best >= 0:
		return found, nil
	case len(there) > 0:
		return found, fmt.Errorf("%w %s; there are %s (hint: --platform)", ErrNoPlatform, FormatPlatform(want), strings.Join(there, ", "))
	case len(index.Manifests) == 1 && index.Manifests[0].Platform == nil && (IsManifest(index.Manifests[0].MediaType) || IsIndex(index.Manifests[0].MediaType)):
		return index.Manifests[0], nil // as in the index.json of a layout
	}
	return found, fmt.Errorf("%w %s: the index has no image that says what it is for", ErrNoPlatform, FormatPlatform(want))
}

// Rank says how well an image that was built for have runs on want: -1 not at
// all, otherwise the higher the better.
func Rank(have, want ocispec.Platform) int {
	if have.OS != want.OS || have.Architecture != want.Architecture {
		return -1
	}
	for _, f := range have.OSFeatures {
		if !slices.Contains(want.OSFeatures, f) {
			return -1
		}
	}
	h, w := variant(have), variant(want)
	hn, hok := level(h)
	wn, wok := level(w)
	switch {
	case h == w:
		return 10000
	case hok && wok && hn <= wn:
		return hn
	case !wok && (h == "" || w == ""): // nothing is known about their order
		return 0
	}
	return -1
}

func variant(p ocispec.Platform) string {
	if p.Variant == "" {
		return baseline[p.Architecture]
	}
	return p.Variant
}

// level is the number in variants that are ordered: each runs what was built
// for the ones below it (v6 on v7, v8 on v8.1). It is below 10000.
func level(variant string) (int, bool) {
	number, ok := strings.CutPrefix(variant, "v")
	major, minor, _ := strings.Cut(number, ".")
	m, err := strconv.ParseUint(major, 10, 6)
	if !ok || err != nil {
		return 0, false
	}
	n := uint64(0)
	if minor != "" {
		if n, err = strconv.ParseUint(minor, 10, 6); err != nil {
			return 0, false
		}
	}
	return int(m*100 + n), true
}

// checkPlatform refuses fields that are no words: people see them on a terminal.
func checkPlatform(p ocispec.Platform) error {
	for _, field := range []struct{ name, value string }{{"os", p.OS}, {"architecture", p.Architecture}, {"variant", p.Variant}} {
		for _, c := range []byte(field.value) {
			word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
			if !word {
				return fmt.Errorf("%s %q is not a word", field.name, field.value)
			}
		}
	}
	return nil
}
