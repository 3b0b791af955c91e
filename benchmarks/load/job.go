package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"load/content"
)

// Job is what the runner asks for, as JSON on the standard input.
type Job struct {
	Row         string   `json:"row"`     // what to do: a key of rows, or of preparations
	Address     string   `json:"address"` // host:port of the server
	Repository  string   `json:"repository"`
	Seed        string   `json:"seed"`   // of the run: names the content that the server was seeded with
	Tokens      []string `json:"tokens"` // one for each client
	Seconds     float64  `json:"seconds"`
	WarmSeconds float64  `json:"warm_seconds"`
	Limit       float64  `json:"limit_seconds"` // when to give up
	LargeBytes  int      `json:"large_bytes"`
	ChunkBytes  int      `json:"chunk_bytes"`
	Tags        int      `json:"tags"`
	HashLarge   bool     `json:"hash_large"` // verify large blobs by their digest rather than byte for byte
	Sample      int      `json:"sample"`     // distinguishes this measurement's tags from those of all others
}

// Result is the answer, as JSON on the standard output.
type Result struct {
	Operations int     `json:"operations"`
	Bytes      int64   `json:"bytes"`   // moved in bodies, for rows whose rate is in bytes
	Seconds    float64 `json:"seconds"` // from the start to the end of the last operation
	P50        float64 `json:"p50"`     // of an operation, in seconds
	P95        float64 `json:"p95"`
	P99        float64 `json:"p99"`
	Slowest    float64 `json:"slowest"`
	Requests   int     `json:"requests"`
	Reconnects int     `json:"reconnects"`
	CPU        float64 `json:"generator_cpu_seconds"`
	Error      string  `json:"error,omitempty"`
}

func readJob(line []byte) (*Job, error) {
	job := &Job{Seconds: 3, Limit: 300, LargeBytes: 256 << 20, ChunkBytes: 16 << 20, Tags: 1000}
	if err := json.Unmarshal(line, job); err != nil {
		return nil, fmt.Errorf("the job is not understood: %w", err)
	}
	if len(job.Tokens) == 0 {
		return nil, fmt.Errorf("a job needs a token for each client")
	}
	return job, nil
}

func (j *Job) deadline() time.Time { return time.Now().Add(duration(j.Limit)) }

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// bench holds what the clients of one job share. Its content is made before anything is timed.
type bench struct {
	*Job
	images []content.Image
	large  *content.Large
	seeded content.LargeBlob
}

func newBench(job *Job) *bench {
	return &bench{Job: job, images: content.Images(job.Seed)}
}

// withLarge prepares the large blobs, which takes a moment and much memory and which few rows need.
func (b *bench) withLarge() {
	b.large = content.NewLarge(b.Seed, b.LargeBytes)
	b.seeded = b.large.New(content.Generator(b.Seed, "seeded large blob"))
}

func say(output io.Writer, message any) {
	if err := json.NewEncoder(output).Encode(message); err != nil {
		panic(err) // the runner is gone: nobody is left to be told
	}
}
