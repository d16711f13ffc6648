// SPDX-License-Identifier: Apache-2.0

package document

import (
	"errors"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestParsePlatform(t *testing.T) {
	for in, want := range map[string]string{
		"amd64":          "linux/amd64",
		"linux/amd64":    "linux/amd64",
		"Linux/AMD64":    "linux/amd64",
		"linux/x86_64":   "linux/amd64",
		"linux/amd64/v3": "linux/amd64/v3",
		"arm64":          "linux/arm64/v8",
		"linux/aarch64":  "linux/arm64/v8",
		"linux/arm/v6":   "linux/arm/v6",
		"armhf":          "linux/arm/v7",
		"windows/amd64":  "windows/amd64",
		"riscv64":        "linux/riscv64",
	} {
		p, err := ParsePlatform(in)
		if got := FormatPlatform(p); err != nil || got != want {
			t.Errorf("ParsePlatform(%q) = %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "linux", "linux/", "/amd64", "linux//v7", "linux/arm/v7/x"} {
		_, err := ParsePlatform(in)
		if want := "platform \"" + in + "\": want OS/ARCHITECTURE[/VARIANT]"; err == nil || err.Error() != want {
			t.Errorf("ParsePlatform(%q): error %v, want %s", in, err, want)
		}
	}
}

// platforms makes an index: its n-th entry is for the n-th word, "-" for none;
// "+feature" at the end is an os.feature, "~" in front an unknown media type.
func platforms(t *testing.T, words string) *ocispec.Index {
	t.Helper()
	idx := &ocispec.Index{}
	for i, word := range strings.Fields(words) {
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Size: int64(i)}
		if rest, ok := strings.CutPrefix(word, "~"); ok {
			word, d.MediaType = rest, "a/b"
		}
		word, feature, has := strings.Cut(word, "+")
		if word != "-" {
			parts := append(strings.Split(word, "/"), "", "")
			d.Platform = &ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
			if has {
				d.Platform.OSFeatures = []string{feature}
			}
		}
		idx.Manifests = append(idx.Manifests, d)
	}
	return idx
}

func TestSelect(t *testing.T) {
	for _, c := range []struct {
		name, index, want string
		number            int64 // -1 for an error
		message           string
	}{
		{"the only one", "linux/amd64", "linux/amd64", 0, ""},
		{"another system", "windows/amd64 linux/amd64", "linux/amd64", 1, ""},
		{"the first of equals", "linux/amd64 linux/amd64", "linux/amd64", 0, ""},
		{"no variant is arm64's v8", "linux/arm64 linux/arm64/v8", "linux/arm64/v8", 0, ""},
		{"v8 is what arm64 means", "linux/arm64/v8", "linux/arm64", 0, ""},
		{"highest that runs", "linux/arm/v5 linux/arm/v6 linux/arm/v8", "linux/arm/v7", 1, ""},
		{"exact before lower", "linux/arm/v6 linux/arm/v7", "linux/arm/v7", 1, ""},
		{"none that runs", "linux/arm/v7 linux/arm/v8", "linux/arm/v6", -1, "no image for the platform linux/arm/v6; there are linux/arm/v7, linux/arm/v8 (hint: --platform)"},
		{"amd64 is v1", "linux/amd64/v3 linux/amd64", "linux/amd64", 1, ""},
		{"v2 for a v3", "linux/amd64 linux/amd64/v2", "linux/amd64/v3", 1, ""},
		{"minor", "linux/arm64/v8 linux/arm64/v8.2 linux/arm64/v9", "linux/arm64/v8.5", 1, ""},
		{"unknown variants", "linux/ppc64le/power8", "linux/ppc64le", 0, ""},
		{"unknown variants must be the same", "linux/ppc64le/power9", "linux/ppc64le/power8", -1, "no image for the platform linux/ppc64le/power8; there are linux/ppc64le/power9 (hint: --platform)"},
		{"features that are missing", "linux/amd64+erofs linux/amd64", "linux/amd64", 1, ""},
		{"attestations", "unknown/unknown linux/amd64 unknown/unknown", "linux/amd64", 1, ""},
		{"only attestations", "unknown/unknown", "linux/amd64", -1, "no image for the platform linux/amd64: the index has no image that says what it is for"},
		{"unknown media type", "~linux/amd64 linux/amd64", "linux/amd64", 1, ""},
		{"a layout's only image", "-", "linux/amd64", 0, ""},
		{"two without platform", "- -", "linux/amd64", -1, "no image for the platform linux/amd64: the index has no image that says what it is for"},
		{"one of an unknown media type", "~-", "linux/amd64", -1, "no image for the platform linux/amd64: the index has no image that says what it is for"},
		{"nothing", "", "linux/amd64", -1, "no image for the platform linux/amd64: the index has no image that says what it is for"},
	} {
		t.Run(c.name, func(t *testing.T) {
			parts := append(strings.Split(c.want, "/"), "")
			d, err := Select(platforms(t, c.index), ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]})
			if c.number < 0 {
				if !errors.Is(err, ErrNoPlatform) || err.Error() != c.message {
					t.Errorf("error = %v, want %s", err, c.message)
				}
				return
			}
			if err != nil || d.Size != c.number {
				t.Errorf("selected %d, %v; want %d", d.Size, err, c.number)
			}
		})
	}
}

// Escape sequences in what list and error texts show.
func TestPlatformsAreWords(t *testing.T) {
	config := `{"os":"linux","architecture":"amd64","variant":"\u001b[2J","rootfs":{"type":"layers","diff_ids":[]}}`
	if _, err := ParseConfig([]byte(config)); err == nil || !strings.Contains(err.Error(), "is not a word") {
		t.Errorf("config: %v", err)
	}
	index := []byte(`{"schemaVersion":2,"manifests":[{"mediaType":"` + ocispec.MediaTypeImageManifest +
		`","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"platform":{"os":"a b","architecture":"x"}}]}`)
	if _, err := Parse(index, Describe(ocispec.MediaTypeImageIndex, index)); err == nil || !strings.Contains(err.Error(), "is not a word") {
		t.Errorf("index: %v", err)
	}
}
