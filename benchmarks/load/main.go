// Command load is the load generator of the registry benchmark. It does one job and ends: it reads the job from its
// standard input, says {"event": "ready"} when all its clients are connected and warm, begins when a second line
// arrives, says {"event": "measured"} when the time is over, and writes the result when it has checked what was pushed.
// At the two events the runner reads the server's clocks, so that nothing but the measured part is in them.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
)

type event struct {
	Event string `json:"event"`
}

func main() {
	// What is kept lives to the end, and what is thrown away is little: collecting it often would only cost time.
	debug.SetGCPercent(800)
	result, err := work(os.Stdin, os.Stdout)
	if err != nil {
		result = Result{Error: err.Error()}
	}
	say(os.Stdout, result)
	if err != nil {
		os.Exit(1)
	}
}

func work(input io.Reader, output io.Writer) (Result, error) {
	lines := bufio.NewReader(input)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return Result{}, err
	}
	job, err := readJob(line)
	if err != nil {
		return Result{}, err
	}
	bench := newBench(job)
	if prepare, found := preparations[job.Row]; found {
		return Result{}, prepare(bench)
	}
	row, found := rows[job.Row]
	if !found {
		return Result{}, fmt.Errorf("there is no row %q", job.Row)
	}
	operation := row(bench)
	if bench.large == nil {
		// The clients of small requests mostly wait. On one thread they wait together, and less time goes into waking
		// threads up, which would be the servers' loss.
		runtime.GOMAXPROCS(1)
	}
	ready := func() error {
		say(output, event{"ready"})
		_, err := lines.ReadBytes('\n')
		return err
	}
	return measure(bench, operation, ready, func() { say(output, event{"measured"}) })
}
