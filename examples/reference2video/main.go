// Command reference2video makes one video and writes it to a file: of reference images, or with -endpoint of a text, of
// a first image, or of a first and a last one.
//
// Without VIDU_BASE_URL and VIDU_API_KEY it starts a fake server: no key, no network, no cost.
//
// Exit status: 0 the video was written, 1 refused or failed, 2 usage, such as an existing file to write, 3 a task
// exists or may exist and was not finished here. After 1 no task was created or it has failed, and after 2 nothing was
// sent. `go run` replaces these by 1: build the program to see them.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

const (
	exitDone = iota
	exitFailed
	exitUsage
	exitMayExist
)

// Default timeouts. Off-peak tasks take up to 48 hours.
const (
	defaultTimeout = 15 * time.Minute
	offPeakTimeout = 49 * time.Hour
	createTimeout  = 5 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// job is the command line.
type job struct {
	settings settings
	endpoint string
	official bool
	taskID   string
	out      string
	timeout  time.Duration
	fake     bool // the server is the fake
}

func parse(args []string, stderr io.Writer) (*job, error) {
	j := &job{}
	req := &j.settings
	flags := flag.NewFlagSet("reference2video", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&j.endpoint, "endpoint", "reference2video", "reference2video, text2video, img2video or start-end2video")
	flags.Func("image", "image, a URL or a file; repeat for more (default: the API's sample image)", func(ref string) error {
		req.images = append(req.images, media(ref))
		return nil
	})
	flags.StringVar(&req.prompt, "prompt", "The astronaut waved and the camera moved up.", "what happens")
	flags.StringVar((*string)(&req.model), "model", "", "model (default: viduq2-pro, for text2video viduq2)")
	flags.IntVar(&req.duration, "duration", 5, "seconds; 0 is the model's default")
	flags.StringVar((*string)(&req.resolution), "resolution", string(vidu.Resolution720p), "resolution")
	flags.IntVar(&req.seed, "seed", 0, "seed; 0 is random")
	flags.BoolVar(&req.offPeak, "off-peak", false, "cheaper, done within 48 hours")
	flags.BoolVar(&j.official, "official", false, "speak to the official API instead of a gateway")
	flags.StringVar(&j.taskID, "task", "", "wait for this existing task and create none")
	flags.StringVar(&j.out, "out", "", "file to write (default: task-ID.mp4)")
	flags.DurationVar(&j.timeout, "timeout", 0, "how long to wait (default: 15m, with -off-peak 49h)")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	way, known := endpoints[j.endpoint]
	switch {
	case !known:
		return nil, fmt.Errorf("-endpoint: there is no %q", j.endpoint)
	case way.images == 0 && len(req.images) > 0:
		return nil, fmt.Errorf("-image: %s takes no images", j.endpoint)
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case j.taskID != "" && !taskID.MatchString(j.taskID):
		return nil, fmt.Errorf("-task: %q is not a task id", j.taskID)
	case j.timeout < 0:
		return nil, fmt.Errorf("-timeout: %v is not a time to wait", j.timeout)
	}
	req.model = cmp.Or(req.model, way.model)
	if len(req.images) == 0 {
		req.images = slices.Repeat([]vidu.Media{sampleImage}, way.images)
	}
	if j.timeout == 0 {
		j.timeout = defaultTimeout
		if req.offPeak {
			j.timeout = offPeakTimeout
		}
	}
	return j, nil
}

var sampleImage = vidu.URL("https://prod-ss-images.s3.cn-northwest-1.amazonaws.com.cn/vidu-maas/template/image2video.png")

var taskID = regexp.MustCompile(`^[\w.:~+=-]{1,256}$`)

// unsafeInNames matches what not every file system takes in a name.
var unsafeInNames = regexp.MustCompile(`[^\w-]`)

// checkTarget checks, before anything is paid for, that the file to write does not exist and its folder is writable.
func (j *job) checkTarget() error {
	path := j.target(j.taskID)
	switch _, err := os.Lstat(path); {
	case path == "": // it is named after the task later
	case err == nil:
		return fmt.Errorf("-out: %s exists already; name another file", path)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("-out: %w", err)
	}
	probe, err := os.CreateTemp(filepath.Dir(path), ".reference2video-*")
	if err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// target returns the file to write, "" if it is not known yet.
func (j *job) target(id string) string {
	if j.out == "" && id != "" {
		return "task-" + unsafeInNames.ReplaceAllString(id, "_") + ".mp4"
	}
	return j.out
}

func media(ref string) vidu.Media {
	if strings.HasPrefix(ref, "http://") || strings.HasPrefix(ref, "https://") {
		return vidu.URL(ref)
	}
	return vidu.File(ref)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	j, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitDone
	}
	if err == nil {
		err = j.checkTarget()
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	client, waiting, closeFake, err := connect(j, stderr)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	defer closeFake()
	return j.make(ctx, client, waiting, stdout, stderr)
}

// connect returns a client for the account in the environment, or for a fake server.
func connect(j *job, stderr io.Writer) (*vidu.Client, []vidu.WaitOption, func(), error) {
	if os.Getenv("VIDU_BASE_URL") != "" || os.Getenv("VIDU_API_KEY") != "" {
		var opts []vidu.Option
		if j.official {
			opts = append(opts, vidu.WithOfficialAPI())
		}
		client, err := vidu.NewClientFromEnv(opts...)
		if err != nil {
			err = fmt.Errorf("%w (set both VIDU_BASE_URL and VIDU_API_KEY, or neither for the fake server)", err)
		}
		return client, nil, func() {}, err
	}
	if j.taskID != "" || j.official {
		return nil, nil, nil, errors.New("-task and -official need VIDU_BASE_URL and VIDU_API_KEY")
	}
	j.fake = true
	fake := vidutest.NewServer()
	fmt.Fprintf(stderr, "No VIDU_BASE_URL and VIDU_API_KEY: using a fake server at %s, nothing is charged.\n", fake.URL)
	client, err := vidu.NewClient(fake.URL, vidutest.APIKey)
	return client, []vidu.WaitOption{vidu.WithPollInterval(500 * time.Millisecond)}, fake.Close, err
}

// create is not interrupted once it has begun: that would not undo the create, only lose the task's id.
func (j *job) create(ctx context.Context, client *vidu.Client, stderr io.Writer) (*vidu.Task, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.settings.payload = vidu.NewMarker() // to find the task by, if the answer is lost
	if !j.fake {
		fmt.Fprintln(stderr, "Creating a task with the payload", j.settings.payload+". Ctrl-C waits for the answer; a second one may leave a task without its id.")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), createTimeout)
	defer cancel()
	return endpoints[j.endpoint].create(ctx, client, &j.settings)
}

// make creates the task, unless there is one, waits for it and writes the video.
func (j *job) make(ctx context.Context, client *vidu.Client, waiting []vidu.WaitOption, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, j.timeout)
	defer cancel()
	id := j.taskID
	if id == "" {
		task, err := j.create(ctx, client, stderr)
		if err != nil {
			return j.explain(err, stderr)
		}
		id = task.ID
	}
	began := time.Now()
	task, err := client.Wait(ctx, id, append(waiting, vidu.WithProgress(func(task *vidu.Task) {
		fmt.Fprintf(stderr, "%4.0f s  %v\n", time.Since(began).Seconds(), task)
	}))...)
	if err != nil {
		return j.explainWait(err, id, stderr)
	}
	path := j.target(id)
	size, err := client.DownloadFile(ctx, task, path)
	if err != nil {
		fmt.Fprintln(stderr, err)
		if errors.Is(err, fs.ErrExist) {
			j.out = "" // the file exists by now: use the task's name
		}
		fmt.Fprintln(stderr, "The video is made. To fetch it:", j.resume(id))
		return exitMayExist
	}
	fmt.Fprintf(stdout, "%s (%d bytes)\n", path, size)
	return exitDone
}

// explain prints whether a failed create may have been charged.
func (j *job) explain(err error, stderr io.Writer) int {
	fmt.Fprintln(stderr, err)
	if !errors.Is(err, vidu.ErrMaybeCreated) {
		fmt.Fprintln(stderr, "No task was created.")
		return exitFailed
	}
	fmt.Fprintln(stderr, "A TASK MAY EXIST and may be charged. Do not run this again before you have looked for it; its payload is", j.settings.payload)
	return exitMayExist
}

// explainWait prints how to go on unless the task has ended.
func (j *job) explainWait(err error, id string, stderr io.Writer) int {
	fmt.Fprintln(stderr, err)
	if _, ended := errors.AsType[*vidu.TaskError](err); ended {
		return exitFailed
	}
	switch {
	case j.fake:
		fmt.Fprintln(stderr, "The fake server ends with this program, and the task with it.")
	case j.taskID != "": // it may not exist
		fmt.Fprintln(stderr, "To try again:", j.resume(id))
	default:
		fmt.Fprintln(stderr, "The task exists. To go on waiting:", j.resume(id))
	}
	return exitMayExist
}

// resume returns the command that resumes a task, for a POSIX shell.
func (j *job) resume(id string) string {
	command := "go run ./examples/reference2video"
	if j.official {
		command += " -official"
	}
	if j.timeout != defaultTimeout {
		command += " -timeout " + j.timeout.String()
	}
	if j.out != "" {
		command += " -out " + quote(j.out)
	}
	return command + " -task " + quote(id)
}

// plain matches words that need no quotes in a shell.
var plain = regexp.MustCompile(`^[\w./:@+,-]+$`)

// quote returns text as one word of a shell.
func quote(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
