package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// jobVariable has the job of a child process, which runs this program.
const jobVariable = "VIDU_BENCH_JOB"

// childJob is work for a separate process: a server, whose CPU must not count as the client's, or a contestant whose
// memory is measured.
type childJob struct {
	Job   string
	Name  string // of the contestant
	URL   string // of the server
	Dir   string // with the pictures
	Trust string // file with the certificate of the server
	Size  int    // of a picture, in bytes
	Count int    // of tasks, of creates, or of polls by each of AtOnce goroutines

	AtOnce   int
	Interval time.Duration // between polls
}

// jobs return a JSON value.
var jobs = map[string]func(ctx context.Context, e childJob) (any, error){
	"peak":    peakOf,
	"waiting": costOfWaiting,
	"polls":   pollAtOnce,
}

// runJob is the main function of a child process.
func runJob(ctx context.Context, text string, in io.Reader, out io.Writer) error {
	var e childJob
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return err
	}
	if e.Job == "server" {
		return serve(in, out)
	}
	job := jobs[e.Job]
	if job == nil {
		return fmt.Errorf("unknown job %q", e.Job)
	}
	answer, err := job(ctx, e)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", e.Job, e.Name, err)
	}
	return json.NewEncoder(out).Encode(answer)
}

// child prepares a process for a job.
func child(ctx context.Context, e childJob) (*exec.Cmd, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program) //nolint:gosec // this program
	cmd.Env = append(os.Environ(), jobVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// runInChild runs a job in a child process and reads its answer.
func runInChild(ctx context.Context, e childJob, answer any) error {
	cmd, err := child(ctx, e)
	if err != nil {
		return err
	}
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	return json.Unmarshal(out, answer)
}

// do runs a job in a child process. A quick run, whose numbers mean nothing, does most of them itself: starting a
// process takes longer than the work.
func (b *bench) do(ctx context.Context, e childJob, answer any) error {
	if !b.quick || e.Name == ours {
		return runInChild(ctx, e, answer)
	}
	got, err := jobs[e.Job](ctx, e)
	if err != nil {
		return fmt.Errorf("%s: %w", e.Name, err)
	}
	text, err := json.Marshal(got)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, answer)
}

// process is a server in a child process.
type process struct {
	url   string
	cmd   *exec.Cmd
	stdin io.Closer
}

func startServer(ctx context.Context) (*process, error) {
	cmd, err := child(ctx, childJob{Job: "server"})
	if err != nil {
		return nil, err
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err == nil {
		err = json.Unmarshal([]byte(line), &p.url)
	}
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// stop ends the server by closing its standard input.
func (p *process) stop() error {
	return errors.Join(p.stdin.Close(), p.cmd.Wait())
}
