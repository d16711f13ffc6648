// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

const oldConfig = `{"zeta": [1, 2.50], "config": {"Env": ["PATH=/bin", "A=<1>"], "Healthcheck": {"Test": ["CMD"]}, "Labels": {"a": "1"}},
 "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:1111111111111111111111111111111111111111111111111111111111111111"]}, "variant": "v8"}`

func oldImage(config, manifestType, configType, layerType string) Image {
	m := fmt.Sprintf(`{"schemaVersion": 2, %s"odd": {"b": 1,  "a": 2}, "config": {"mediaType": %q, "digest": %q, "size": %d, "x": "y"},
 "layers": [{"mediaType": %q, "digest": "sha256:2222222222222222222222222222222222222222222222222222222222222222", "size": 5, "z": null}],
 "annotations": {"k": "v"}}`, manifestType, configType, digest.FromString(config), len(config), layerType)
	return Image{[]byte(m), []byte(config)}
}

func TestCommitKeepsWhatItDoesNotKnow(t *testing.T) {
	id := digest.FromString("diff")
	layer := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerZstd, Digest: digest.FromString("blob"), Size: 7}
	s := Step{Layer: &layer, DiffID: id, Created: time.Unix(1e9, 0), CreatedBy: "sh -c 'a && b > c'", Author: "me", Comment: "why",
		Edits: Edits{User: ptr("1000:1000")}}
	got, err := Commit(oldImage(oldConfig, "", ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip), s)
	must(t, err)
	wantConfig := `{"zeta":[1, 2.50],"config":{"Env":["PATH=/bin", "A=<1>"],"Healthcheck":{"Test": ["CMD"]},"Labels":{"a": "1"},"User":"1000:1000"},` +
		`"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:1111111111111111111111111111111111111111111111111111111111111111","` + id.String() + `"]},` +
		`"variant":"v8","created":"2001-09-09T01:46:40Z",` +
		`"history":[{},{"created":"2001-09-09T01:46:40Z","created_by":"sh -c 'a && b > c'","author":"me","comment":"why"}]}`
	if string(got.Config) != wantConfig {
		t.Errorf("config\n%s\nwant\n%s", got.Config, wantConfig)
	}
	wantManifest := fmt.Sprintf(`{"schemaVersion":2,"odd":{"b": 1,  "a": 2},"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d,"x":"y"},`+
		`"layers":[{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:2222222222222222222222222222222222222222222222222222222222222222", "size": 5, "z": null},`+
		`{"mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","digest":%q,"size":7}],"annotations":{"k": "v"}}`,
		digest.FromString(wantConfig), len(wantConfig), layer.Digest)
	if string(got.Manifest) != wantManifest {
		t.Errorf("manifest\n%s\nwant\n%s", got.Manifest, wantManifest)
	}
}

func ptr[T any](v T) *T { return &v }

func TestCommitKeepsTheKindOfMediaTypes(t *testing.T) {
	for _, c := range []struct{ manifest, config, given, want string }{
		{"", document.DockerConfig, ocispec.MediaTypeImageLayerGzip, document.DockerLayerGzip},
		{document.DockerManifest, document.DockerConfig, ocispec.MediaTypeImageLayer, document.DockerLayer},
		{document.DockerManifest, document.DockerConfig, ocispec.MediaTypeImageLayerZstd, document.DockerLayer + ".zstd"},
		{ocispec.MediaTypeImageManifest, document.DockerConfig, document.DockerLayerGzip, ocispec.MediaTypeImageLayerGzip},
		{"", ocispec.MediaTypeImageConfig, document.DockerLayer, ocispec.MediaTypeImageLayer},
	} {
		member := ""
		if c.manifest != "" {
			member = fmt.Sprintf(`"mediaType": %q, `, c.manifest)
		}
		layer := ocispec.Descriptor{MediaType: c.given, Digest: digest.FromString("blob")}
		got, err := Commit(oldImage(oldConfig, member, c.config, document.DockerLayerGzip), Step{Layer: &layer, DiffID: layer.Digest})
		must(t, err)
		var m ocispec.Manifest
		must(t, json.Unmarshal(got.Manifest, &m))
		if m.Layers[1].MediaType != c.want || m.MediaType != c.manifest || m.Config.MediaType != c.config {
			t.Errorf("%+v: %+v", c, m)
		}
	}
}

func TestCommitWithoutLayer(t *testing.T) {
	base := oldImage(oldConfig, "", ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayer)
	for no, want := range map[bool]string{false: `[{},{"comment":"c","empty_layer":true}]`, true: ""} {
		got, err := Commit(base, Step{Comment: "c", NoHistory: no})
		must(t, err)
		o, err := parseObject(got.Config)
		must(t, err)
		if h := string(o.get("history")); h != want {
			t.Errorf("history %s, want %s", h, want)
		}
		m, c, err := got.parse()
		must(t, err)
		if len(m.Layers) != 1 || len(c.RootFS.DiffIDs) != 1 {
			t.Errorf("%d layers, %d diffIDs", len(m.Layers), len(c.RootFS.DiffIDs))
		}
	}
}

// The contents of the old config in its descriptor would be taken for the new.
func TestCommitDropsEmbeddedConfig(t *testing.T) {
	base := oldImage(oldConfig, "", ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayer)
	data, err := json.Marshal([]byte(oldConfig))
	must(t, err)
	base.Manifest = []byte(strings.Replace(string(base.Manifest), `"x": "y"`, `"data": `+string(data), 1))
	got, err := Commit(base, Step{})
	must(t, err)
	m, _, err := got.parse()
	must(t, err)
	if m.Config.Data != nil {
		t.Errorf("data %s", m.Config.Data)
	}
}

func TestCommitRefusals(t *testing.T) {
	twice := strings.Replace(oldConfig, `"os"`, `"Config": {}, "os"`, 1)
	good := oldImage(oldConfig, "", ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayer)
	for want, base := range map[string]Image{
		`the old image: image config: "Config": the member is called "config"`:                                                            oldImage(twice, "", ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayer),
		`the old image: layer of type "text/plain" is not supported`:                                                                      oldImage(oldConfig, "", ocispec.MediaTypeImageConfig, "text/plain"),
		`the old image: config is of type "application/vnd.oci.empty.v1+json": this is an artifact, not a container image`:                oldImage(oldConfig, "", ocispec.MediaTypeEmptyJSON, ocispec.MediaTypeImageLayer),
		fmt.Sprintf("the old image: image config: %s: 2 bytes, and the descriptor says %d", digest.FromString(oldConfig), len(oldConfig)): {good.Manifest, []byte("{}")},
	} {
		if _, err := Commit(base, Step{}); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

var edits = []struct {
	name, config, want, err string
	edits                   Edits
}{
	{name: "nothing", config: ` { "a" : 1 } `, want: `{"a":1}`},
	{name: "all from nothing", config: `{}`,
		edits: Edits{User: ptr("u"), WorkingDir: ptr("/w"), StopSignal: ptr("SIGRTMIN+3"), Entrypoint: []string{"a", "<b>"}, Cmd: []string{},
			Env: []string{"A=1", "B=", "A=2"}, Labels: []string{"l=x=y"}, Volumes: []string{"/v"}, Ports: []string{"80", "53/udp"}},
		want: `{"config":{"Env":["A=2","B="],"Labels":{"l":"x=y"},"Volumes":{"/v":{}},"ExposedPorts":{"80":{},"53/udp":{}},"User":"u","WorkingDir":"/w","StopSignal":"SIGRTMIN+3","Entrypoint":["a","<b>"],"Cmd":[]}}`},
	{name: "environment", config: `{"config":{"Env":["A=1","B=\u003c","A=2","C","D=4"]}}`,
		edits: Edits{Env: []string{"A=3", "E=5"}, RemoveEnv: []string{"C", "D", "none"}}, want: `{"config":{"Env":["A=3","B=\u003c","E=5"]}}`},
	{name: "replace what is removed", config: `{"config":{"Env":["A=1","B=2"]}}`,
		edits: Edits{Env: []string{"A=3"}, RemoveEnv: []string{"A"}}, want: `{"config":{"Env":["B=2","A=3"]}}`},
	{name: "labels differ in case", config: `{"config":{"Labels":{"a":"1","A":"2","b":"3"}}}`,
		edits: Edits{Labels: []string{"A=4"}, RemoveLabels: []string{"b"}}, want: `{"config":{"Labels":{"a":"1","A":"4"}}}`},
	{name: "the last goes", config: `{"config":{"Volumes":{"/v":{}},"X":1}}`, edits: Edits{RemoveVolumes: []string{"/v"}}, want: `{"config":{"X":1}}`},
	{name: "clear", config: `{"author":"me","config":{"Cmd":["x"],"Env":["A=1"],"User":"u"},"variant":"v8"}`,
		edits: Edits{Clear: []string{"author", "cmd", "env", "variant"}, Env: []string{"B=2"}}, want: `{"config":{"User":"u","Env":["B=2"]}}`},
	{name: "null", config: `{"config":null}`, edits: Edits{User: ptr("u")}, want: `{"config":{"User":"u"}}`},
	{name: "platform", config: `{"os":"linux"}`, edits: Edits{OS: ptr("linux"), Architecture: ptr("arm64"), Variant: ptr("v8"), Author: ptr("me"), Created: ptr(time.Unix(0, 5))},
		want: `{"os":"linux","author":"me","architecture":"arm64","variant":"v8","created":"1970-01-01T00:00:00.000000005Z"}`},

	{name: "no object", config: `[]`, err: "not an object"},
	{name: "twice", config: `{"config":{"Env":[],"Env":[]}}`, edits: Edits{User: ptr("u")}, err: `config: member "Env" is there twice`},
	{name: "no list", config: `{"config":{"Env":[1]}}`, edits: Edits{Env: []string{"A=1"}}, err: "config: Env: json: cannot unmarshal number into Go value of type string"},
	{name: "unknown field", config: `{}`, edits: Edits{Clear: []string{"rootfs"}},
		err: `clear "rootfs": want one of author, cmd, created, entrypoint, env, expose, label, stop-signal, user, variant, volume, workdir`},
	{name: "no value", config: `{}`, edits: Edits{Env: []string{"A"}}, err: `"A": want NAME=VALUE`},
	{name: "no name", config: `{}`, edits: Edits{Labels: []string{"=A"}}, err: `"=A": want NAME=VALUE`},
	{name: "relative volume", config: `{}`, edits: Edits{Volumes: []string{"v"}}, err: `volume "v": want an absolute path`},
	{name: "no port", config: `{}`, edits: Edits{Ports: []string{"http"}}, err: `port "http": want a number with /tcp, /udp or /sctp`},
	{name: "relative directory", config: `{}`, edits: Edits{WorkingDir: ptr("")}, err: `working directory "": want an absolute path`},
	{name: "no signal", config: `{}`, edits: Edits{StopSignal: ptr("stop it")}, err: `stop signal "stop it": want a name such as SIGTERM, or a number`},
	{name: "no os", config: `{}`, edits: Edits{OS: ptr("")}, err: `platform: an image has an os and an architecture`},
	{name: "not UTF-8", config: `{}`, edits: Edits{User: ptr("\xff")}, err: `"\xff": JSON has only UTF-8`},
}

func edited(e Edits, config string) (string, error) {
	o, err := parseObject([]byte(config))
	if err == nil {
		err = e.apply(o)
	}
	if err != nil {
		return "", err
	}
	return string(o.bytes()), nil
}

func TestEdits(t *testing.T) {
	for _, c := range edits {
		t.Run(c.name, func(t *testing.T) {
			got, err := edited(c.edits, c.config)
			if got != c.want || (err != nil || c.err != "") && (err == nil || err.Error() != c.err) {
				t.Errorf("%s, %v\nwant %s, %s", got, err, c.want, c.err)
			}
		})
	}
}

// What an edit makes is an object that has all that it did not edit, and that
// the same edit leaves alone.
func FuzzEdits(f *testing.F) {
	for _, c := range edits {
		f.Add(c.config)
	}
	f.Add(oldConfig)
	e := Edits{User: ptr("u"), Env: []string{"A=1", "B=2"}, RemoveEnv: []string{"C"}, Labels: []string{"a=<b>"}, RemoveLabels: []string{"c"},
		Volumes: []string{"/v"}, Clear: []string{"cmd", "author"}}
	f.Fuzz(func(t *testing.T, config string) {
		once, err := edited(e, config)
		if err != nil {
			return
		}
		twice, err := edited(e, once)
		if err != nil || twice != once {
			t.Fatalf("%q\nagain %q, %v", once, twice, err)
		}
		var before, after map[string]json.RawMessage
		must(t, json.Unmarshal([]byte(once), &after))
		if json.Unmarshal([]byte(config), &before) != nil {
			return
		}
		for name := range before {
			if name == "config" || name == "author" {
				delete(before, name)
			}
		}
		for name := range before {
			if !reflect.DeepEqual(before[name], after[name]) {
				t.Errorf("%q = %s, was %s", name, after[name], before[name])
			}
		}
	})
}
