// Command batch makes a video of each line of a file and can be killed at any moment: started again, it neither pays
// twice nor forgets a task. It shows a record written before and after each paid call, bounded creates, a Ctrl-C that
// cuts none of them off, and what to do with a call whose outcome is unknown. Each task is waited for by itself; for
// thousands at a time [vidu.Client.WaitAll] shares one bounded rate of queries.
//
//	go run . prompts.txt
//
// A line is a prompt, or a request as JSON, in UTF-8; blank lines and those that begin with # are skipped. A line whose
// result is in results.jsonl is not made again, even with other flags; for that, take another -out. The same line twice
// is two videos. A video that is missing from -out, or empty, is fetched again at no cost while the server has it.
//
// Without VIDU_BASE_URL and VIDU_API_KEY it starts a fake server: no key, no network, no cost.
//
// Ctrl-C and -timeout end the waiting, and no more creates are begun; those in flight are finished.
//
// Exit status: 0 all videos were made; 1 some were refused, failed or not begun; 2 nothing was sent, because of the
// usage, the input or a line of results.jsonl that is not understood; 3 tasks exist or may exist that were not finished
// here, or not recorded. The output says what to do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
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

const sampleImage = "https://prod-ss-images.s3.cn-northwest-1.amazonaws.com.cn/vidu-maas/template/image2video.png"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// config is what the command line asks for.
type config struct {
	input, out   string
	image        string
	request      vidu.Reference2VideoRequest // defaults for lines
	creates      int
	tasks        int
	timeout      time.Duration
	official     bool
	retryUnknown bool
	retryFailed  bool
}

func parse(args []string, stderr io.Writer) (*config, error) {
	c := &config{}
	flags := flag.NewFlagSet("batch", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&c.out, "out", "videos", "folder of the videos and of results.jsonl")
	flags.StringVar(&c.image, "image", sampleImage, "reference image, a URL or a file, for lines that have none")
	flags.StringVar((*string)(&c.request.Model), "model", string(vidu.ModelQ2Pro), "model, for lines that name none")
	flags.IntVar(&c.request.Duration, "duration", 0, "seconds, for lines without; 0 is the model's default")
	flags.StringVar((*string)(&c.request.Resolution), "resolution", "", "for lines without (default: the model's)")
	flags.BoolVar(&c.request.OffPeak, "off-peak", false, "have lines that are prompts made cheaper, within 48 hours")
	flags.IntVar(&c.creates, "creates", 4, "how many creates, and how many downloads, at a time")
	flags.IntVar(&c.tasks, "tasks", 100, "create no more while so many tasks are in flight")
	flags.DurationVar(&c.timeout, "timeout", 0, "when to stop creating and waiting (default: when all is done)")
	flags.BoolVar(&c.official, "official", false, "speak to the official API instead of a gateway")
	flags.BoolVar(&c.retryUnknown, "retry-unknown", false, "create again where the outcome is unknown and no task was found; MAY PAY TWICE")
	flags.BoolVar(&c.retryFailed, "retry-failed", false, "create again where a task of an earlier run failed")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() != 1 {
		return nil, errors.New("usage: batch [flags] FILE")
	}
	if c.creates < 1 || c.tasks < 1 {
		return nil, errors.New("-creates and -tasks must be at least 1")
	}
	c.input = flags.Arg(0)
	c.request.Images = []vidu.Media{vidu.File(c.image)}
	if strings.Contains(c.image, "://") {
		c.request.Images = []vidu.Media{vidu.URL(c.image)}
	}
	return c, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitDone
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	code, err := c.start(ctx, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, err)
	}
	return code
}

// start reads all input before anything is sent.
func (c *config) start(ctx context.Context, stdout, stderr io.Writer) (int, error) {
	jobs, err := readJobs(c.input, &c.request)
	if err != nil {
		return exitUsage, err
	}
	client, server, waiting, closeFake, err := c.connect(stderr)
	if err != nil {
		return exitUsage, err
	}
	defer closeFake()
	if err := makeFolder(c.out); err != nil {
		return exitUsage, err
	}
	results, err := openResults(filepath.Join(c.out, "results.jsonl"), server)
	if err != nil {
		return exitUsage, err
	}
	defer results.close()
	jobs = append(jobs, results.assign(jobs)...)
	return newBatch(c, client, waiting, results, newReport(len(jobs), stdout, stderr)).run(ctx, jobs), nil
}

// connect returns a client for the account in the environment, or for a fake server, and the server's name.
func (c *config) connect(stderr io.Writer) (client *vidu.Client, server string, waiting []vidu.WaitOption, closeFake func(), err error) {
	if os.Getenv("VIDU_BASE_URL") != "" || os.Getenv("VIDU_API_KEY") != "" {
		opts := []vidu.Option{vidu.WithRecovery(30 * time.Second)} // where tasks can be listed
		if c.official {
			opts = append(opts, vidu.WithOfficialAPI())
		}
		client, err = vidu.NewClientFromEnv(opts...)
		return client, os.Getenv("VIDU_BASE_URL"), nil, func() {}, err
	}
	if c.official {
		return nil, "", nil, nil, errors.New("-official needs VIDU_BASE_URL and VIDU_API_KEY")
	}
	fake := vidutest.NewServer()
	fmt.Fprintf(stderr, "No VIDU_BASE_URL and VIDU_API_KEY: using a fake server at %s, nothing is charged.\n", fake.URL)
	client, err = vidu.NewClient(fake.URL, vidutest.APIKey)
	return client, fake.URL, []vidu.WaitOption{vidu.WithPollInterval(500 * time.Millisecond)}, fake.Close, err
}
