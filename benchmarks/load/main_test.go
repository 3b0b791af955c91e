package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"load/content"
)

// registry is as much of a registry as the rows need, which can be told to serve something wrong.
type registry struct {
	sync.Mutex
	kept    map[string][]byte // by target: blobs and manifests
	uploads map[string][]byte
	damage  func(w http.ResponseWriter, body []byte) []byte
}

func (r *registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.Lock()
	defer r.Unlock()
	body, _ := io.ReadAll(request.Body)
	target, isUpload := request.URL.Path, strings.Contains(request.URL.Path, "/uploads/")
	w.Header().Set("Location", fmt.Sprintf("http://%s%s?state=x", request.Host, target))
	switch {
	case target == "/v2/":
	case request.Method == "POST":
		name := fmt.Sprintf("%s%d", target, len(r.uploads))
		r.uploads[name] = nil
		w.Header().Set("Location", name)
		w.WriteHeader(202)
	case request.Method == "PATCH":
		if at := request.Header.Get("Content-Range"); at != "" &&
			at != fmt.Sprintf("%d-%d", len(r.uploads[target]), len(r.uploads[target])+len(body)-1) {
			w.WriteHeader(416)
			return
		}
		r.uploads[target] = append(r.uploads[target], body...)
		w.WriteHeader(202)
	case request.Method == "PUT":
		if isUpload {
			body = append(r.uploads[target], body...)
			if digest := request.URL.Query().Get("digest"); digest != content.Of(body).String() {
				w.WriteHeader(400)
				return
			}
			target = target[:strings.Index(target, "uploads/")]
		} else {
			r.kept[target] = body
			target = target[:strings.LastIndex(target, "/")+1]
		}
		r.kept[target+content.Of(body).String()] = body
		w.Header().Set("Docker-Content-Digest", content.Of(body).String())
		w.WriteHeader(201)
	case strings.HasSuffix(target, "/tags/list"):
		var tags []string
		for kept := range r.kept {
			if _, tag, found := strings.Cut(kept, "/manifests/"); found && !strings.Contains(tag, ":") {
				tags = append(tags, tag)
			}
		}
		slices.Sort(tags)
		list, _ := json.Marshal(map[string]any{"name": "library/x", "tags": tags})
		_, _ = w.Write(r.damage(w, list))
	case r.kept[target] == nil:
		w.WriteHeader(404)
	default:
		body = r.kept[target]
		w.Header().Set("Docker-Content-Digest", content.Of(body).String())
		body = r.damage(w, body)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body)
	}
}

func start(t *testing.T) (*registry, *Job) {
	t.Helper()
	server := &registry{kept: map[string][]byte{}, uploads: map[string][]byte{}}
	server.damage = func(_ http.ResponseWriter, body []byte) []byte { return body }
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return server, &Job{
		Address: listener.Listener.Addr().String(), Repository: "library/x", Seed: "test", Tokens: []string{"a", "b"},
		Seconds: 0.05, WarmSeconds: 0.01, Limit: 10, LargeBytes: 100_000, ChunkBytes: 30_000, Tags: 20,
	}
}

func do(job *Job, name string) (Result, error) {
	job.Row = name
	line, _ := json.Marshal(job)
	var output bytes.Buffer
	result, err := work(io.MultiReader(bytes.NewReader(line), strings.NewReader("\n\n")), &output)
	if err == nil && rows[name] != nil && strings.Join(strings.Fields(output.String()), "") != `{"event":"ready"}{"event":"measured"}` {
		err = fmt.Errorf("said %q", output.String())
	}
	return result, err
}

func seed(t *testing.T, job *Job, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := do(job, name); err != nil {
			t.Fatal(err)
		}
	}
}

// preparationOf a row is what must be in the registry. Tags are listed from a repository of their own.
func preparationOf(row string) []string {
	if row == "tags-list" {
		return []string{"seed-tags"}
	}
	return []string{"seed-images", "seed-large"}
}

func TestEveryRowIsMeasured(t *testing.T) {
	for name := range rows {
		_, job := start(t)
		seed(t, job, preparationOf(name)...)
		result, err := do(job, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if result.Operations < 2 || result.Requests < result.Operations || result.Seconds < job.Seconds || result.CPU <= 0 ||
			result.P50 <= 0 || result.P50 > result.P95 || result.P95 > result.P99 || result.P99 > result.Slowest {
			t.Errorf("%s: %+v", name, result)
		}
		if strings.Contains(name, "large") && result.Bytes != int64(result.Operations*job.LargeBytes) {
			t.Errorf("%s: %d bytes in %d operations", name, result.Bytes, result.Operations)
		}
	}
}

// For each way of being wrong, every row that could see it must fail, whether it reads what was seeded or, in the end, what
// it pushed.
func TestNoRowAcceptsAWrongAnswer(t *testing.T) {
	wrongs := map[string]func(w http.ResponseWriter, body []byte) []byte{
		"one bit": func(_ http.ResponseWriter, body []byte) []byte {
			body = bytes.Clone(body)
			body[len(body)/2] ^= 1
			return body
		},
		"cut short": func(_ http.ResponseWriter, body []byte) []byte { return body[:len(body)-1] },
		"other digest": func(w http.ResponseWriter, body []byte) []byte {
			w.Header().Set("Docker-Content-Digest", content.Of([]byte("other")).String())
			return body
		},
		"no digest": func(w http.ResponseWriter, body []byte) []byte {
			w.Header().Del("Docker-Content-Digest")
			return body
		},
	}
	for wrong, damage := range wrongs {
		for name := range rows {
			inBody := wrong == "one bit" || wrong == "cut short"
			isHead := strings.Contains(name, "head")
			if isHead && wrong == "one bit" || name == "tags-list" && !inBody {
				continue // nothing that this answer has is wrong
			}
			server, job := start(t)
			job.WarmSeconds = 0
			job.HashLarge = wrong == "one bit"
			seed(t, job, preparationOf(name)...)
			server.damage = damage
			if _, err := do(job, name); err == nil {
				t.Errorf("%s: %s was accepted", name, wrong)
			}
		}
	}
}

func TestLocationsStayOnTheServer(t *testing.T) {
	for value, expected := range map[string]string{
		"/v2/x?y": "/v2/x?y", "http://here:1/v2/x": "/v2/x", "http://elsewhere:1/v2/x": "", "v2/x": "", "": "",
	} {
		if target, err := location(value, "here:1"); target != expected || (err == nil) != (expected != "") {
			t.Errorf("%q: %q, %v", value, target, err)
		}
	}
}

func TestPercentilesAreNearestRank(t *testing.T) {
	var hundred []time.Duration
	for n := range 100 {
		hundred = append(hundred, time.Duration(n+1)*time.Second)
	}
	for hundredths, expected := range map[int]float64{50: 50, 95: 95, 99: 99, 100: 100} {
		if got := percentile(hundred, hundredths); got != expected {
			t.Errorf("percentile %d of 100 is %v", hundredths, got)
		}
	}
	if percentile(hundred[:3], 50) != 2 || percentile(hundred[:1], 99) != 1 || percentile(nil, 50) != 0 {
		t.Error("percentiles of few are wrong")
	}
}
