package app

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/datapunk/switchgear/server/describe"
)

// post asks as curl does.
func post(t *testing.T, a *App, path, contentType, body string) (*http.Response, []byte) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.Address()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, data
}

// schemas are those that the daemon serves.
func schemas(t *testing.T, a *App) func(name string) *jsonschema.Schema {
	t.Helper()
	code, text := get(t, a, "/openapi.json")
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil || code != http.StatusOK {
		t.Fatalf("%d, %v", code, err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return func(name string) *jsonschema.Schema {
		s, err := c.Compile("openapi.json#/components/schemas/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func fits(t *testing.T, s *jsonschema.Schema, data []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err == nil {
		err = s.Validate(v)
	}
	if err != nil {
		t.Errorf("%s\ndoes not fit its schema: %v", data, err)
	}
}

// Plain JSON by POST does all that the command line does, and answers as the served
// OpenAPI document says.
func TestEveryMethodAnswersPlainJSONAsItsSchemaSays(t *testing.T) {
	a, _ := running(t, nil)
	guarded(t, a, "web-1")
	schema := schemas(t, a)
	const who = `"author":"ada","reason":"test"`
	const by = who + `,"timeToLive":"60s"`
	documents := func(openAbove int) string {
		text := fmt.Sprintf("apiVersion: switchgear/v1\nkind: CircuitPolicy\nmetadata: {name: a}\nspec: {selector: {}, openAbove: %d}\n", openAbove)
		return fmt.Sprintf(`[{"file":"a.yaml","text":%q}]`, text)
	}
	asked := map[string]bool{}
	for _, x := range []struct{ method, body, want string }{
		{"CircuitService/ListCircuits", `{"states":["STATE_CLOSED"],"page_size":10}`, `"name":"default/web..default/checkout"`},
		{"CircuitService/GetCircuit", `{"name":"web..c"}`, `"sentence":"default/web..default/checkout is closed`},
		{"FleetService/ListReplicas", `{}`, `"name":"web-1"`},
		{"FleetService/ListEdges", `{"prefix":"web"}`, `"callee":"default/checkout"`},
		{"OverrideService/Preview", `{"force":{"circuit":"web..c","mode":"MODE_OFF",` + by + `}}`, `"replicas":1`},
		{"OverrideService/Force", `{"circuit":"web..checkout","mode":"MODE_OFF",` + by + `}`, `"revision":"1"`},
		{"OverrideService/ListOverrides", `{}`, `"mode":"MODE_OFF"`},
		{"OverrideService/Release", `{"circuit":"web..checkout","author":"ada","expectedRevision":"1"}`, `"author":"ada"`},
		{"OverrideService/Pause", `{"all":true,` + by + `}`, `"timeToLive":"60s"`},
		{"OverrideService/ListPauses", `{}`, `"reason":"test"`},
		{"OverrideService/Resume", `{"all":true,"author":"ada"}`, `"pause"`},
		{"OverrideService/MarkDeployment", `{"service":"checkout","version":"v2","author":"ci"}`, `"service":"default/checkout"`},
		{"PolicyService/DiffPolicies", `{"documents":` + documents(40) + `}`, `"changes"`},
		{"PolicyService/ApplyPolicies", `{"documents":` + documents(40) + `,` + who + `}`, `"version":"1"`},
		{"PolicyService/ApplyPolicies", `{"documents":` + documents(30) + `,` + who + `}`, `"version":"2"`},
		{"PolicyService/ListPolicies", `{}`, `"name":"a"`},
		{"PolicyService/GetPolicy", `{"name":"a","withHistory":true}`, `"history"`},
		{"PolicyService/ExplainCircuit", `{"circuit":"web..checkout"}`, `"policies":["a`},
		{"PolicyService/RollbackPolicy", `{"name":"a","toVersion":"1",` + who + `}`, `"change"`},
		{"PolicyService/ApplyPolicies", `{"documents":` + documents(20) + `,"rollout":{"stageDuration":"3600s"},` + who + `}`, `"stage":"metrics_only"`},
		{"PolicyService/GetRollout", `{"name":"a"}`, `"stage"`},
		{"PolicyService/AbortRollout", `{"name":"a",` + who + `}`, `"rollout"`},
		{"PolicyService/DeletePolicy", `{"name":"a",` + who + `}`, `"policy"`},
	} {
		path := "/switchgear.api.v1." + x.method
		asked[path] = true
		resp, body := post(t, a, path, "application/json", x.body)
		var compact bytes.Buffer
		_ = json.Compact(&compact, body)
		if resp.StatusCode != http.StatusOK || !strings.Contains(compact.String(), x.want) || resp.Header.Get("Switchgear-Request-Id") == "" {
			t.Errorf("%s: %d %s: want %s", x.method, resp.StatusCode, body, x.want)
		}
		_, name, _ := strings.Cut(x.method, "/")
		fits(t, schema(name+"Response"), body)

		resp, body = post(t, a, path, "application/json", `{"reason":`)
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: broken JSON: %d %s", x.method, resp.StatusCode, body)
		}
		fits(t, schema("Error"), body)
	}
	api, err := describe.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range api.Services() {
		for i := range s.Methods().Len() {
			if m := s.Methods().Get(i); !m.IsStreamingServer() && !asked[describe.Path(m)] {
				t.Errorf("%s was not asked", describe.Path(m))
			}
		}
	}
}

func TestAnErrorOverJSONSaysFieldAdviceAndRequest(t *testing.T) {
	a, _ := running(t, nil)
	resp, body := post(t, a, "/switchgear.api.v1.OverrideService/Force", "application/json", `{"circuit":"web..checkout","author":"ada"}`)
	var e struct {
		Code, Message string
		Details       []struct {
			Debug struct{ Code, Field, Advice, RequestID string }
		}
	}
	if err := json.Unmarshal(body, &e); err != nil || resp.StatusCode != http.StatusBadRequest || len(e.Details) != 1 {
		t.Fatalf("%d %s, %v", resp.StatusCode, body, err)
	}
	if d := e.Details[0].Debug; e.Code != "invalid_argument" || d.Code != "invalid" || d.Field != "mode" || d.Advice == "" || d.RequestID != resp.Header.Get("Switchgear-Request-Id") {
		t.Errorf("%s", body)
	}
	fits(t, schemas(t, a)("Error"), body)
}

// A page in a browser may have a name that leads to this machine.
func TestChangesAreTakenByALoopbackNameAlone(t *testing.T) {
	a, _ := running(t, nil)
	schema := schemas(t, a)("Error")
	for host, want := range map[string]int{
		"127.0.0.1": http.StatusOK, "localhost:7443": http.StatusOK, "[::1]:1": http.StatusOK, "[::1]": http.StatusOK, "127.9.9.9:1": http.StatusOK,
		"evil.example": http.StatusForbidden, "10.0.0.1:7443": http.StatusForbidden, "localhost.evil.example": http.StatusForbidden,
	} {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.Address()+"/switchgear.api.v1.OverrideService/MarkDeployment",
			strings.NewReader(`{"service":"checkout","version":"v2","author":"ci"}`))
		if err != nil {
			t.Fatal(err)
		}
		q.Host = host
		q.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("asked as %s: %d %s: want %d", host, resp.StatusCode, body, want)
		}
		if want == http.StatusForbidden {
			fits(t, schema, body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// A stream is Connect's: each message behind flags and length.
func TestAWatchAnswersJSONInFrames(t *testing.T) {
	a, stop := running(t, nil)
	guarded(t, a, "web-1")
	question := []byte(`{"prefix":"web"}`)
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(question)))
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.Address()+"/switchgear.api.v1.CircuitService/WatchCircuits", bytes.NewReader(append(frame, question...)))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/connect+json")
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	next := func() (flags byte, data []byte) {
		var head [5]byte
		if _, err := io.ReadFull(resp.Body, head[:]); err != nil {
			t.Fatal(err)
		}
		data = make([]byte, binary.BigEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(resp.Body, data); err != nil {
			t.Fatal(err)
		}
		return head[0], data
	}
	flags, data := next()
	if flags != 0 || !strings.Contains(string(data), "default/web..default/checkout") {
		t.Errorf("%d %s: want a snapshot", flags, data)
	}
	fits(t, schemas(t, a)("WatchCircuitsResponse"), data)
	stop()
	for flags == 0 { // what changed meanwhile
		flags, data = next()
	}
	if !strings.Contains(string(data), "unavailable") || !strings.Contains(string(data), "stopping") {
		t.Errorf("%d %s: want the end, and why", flags, data)
	}
}
