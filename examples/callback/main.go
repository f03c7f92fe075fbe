// Command callback makes one video and receives a callback when it is done: an HTTP server with
// [vidu.Client.CallbackHandler], the timeouts that a public server needs, and a graceful shutdown. Polling goes on
// meanwhile, since callbacks get lost; a callback only ends the wait sooner.
//
// Without VIDU_BASE_URL and VIDU_API_KEY it starts a fake server, which sends callbacks over loopback: no key, no
// network, no cost. With them it needs -callback-url, an address under which the API can reach it.
//
// Ctrl-C and -timeout end the waiting. A create in flight is finished, and so are the answers to callbacks.
//
// Exit status: 0 the video was written, 1 refused or failed, 2 usage, 3 a task exists or may exist and was not
// finished here.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
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

// job is the command line and the environment.
type job struct {
	prompt, image, out string
	listen             string
	callbackURL        string
	official           bool
	unverified         bool
	timeout            time.Duration
	grace              time.Duration

	client *vidu.Client
	secret string
}

func parse(args []string, stderr io.Writer) (*job, error) {
	j := &job{}
	flags := flag.NewFlagSet("callback", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&j.prompt, "prompt", "The astronaut waved and the camera moved up.", "what happens")
	flags.StringVar(&j.image, "image", sampleImage, "URL of the reference image")
	flags.StringVar(&j.out, "out", "", "file to write (default: task-ID.mp4)")
	flags.StringVar(&j.listen, "listen", "127.0.0.1:0", "address to listen on; behind the proxy that serves -callback-url")
	flags.StringVar(&j.callbackURL, "callback-url", "", "public URL under which the API reaches this program (default: the listener's)")
	flags.BoolVar(&j.official, "official", false, "speak to the official API instead of a gateway")
	flags.BoolVar(&j.unverified, "unverified", false, "accept unsigned callbacks, from a gateway that signs with its own key")
	flags.DurationVar(&j.timeout, "timeout", 15*time.Minute, "how long to wait for the task")
	flags.DurationVar(&j.grace, "grace", 10*time.Second, "how long to wait for the callback, when the task has ended and its video is written")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return j, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	j, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitDone
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	closeFake, err := j.connect(stderr)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	defer closeFake()
	server, err := j.serve(ctx) // before the create, so that a failure costs nothing
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	defer server.shutdown(ctx, stderr)
	fmt.Fprintln(stderr, "Listening for callbacks at", server.callbackURL)
	return j.make(ctx, server, stdout, stderr)
}

// connect returns a client for the account in the environment, or for a fake server that sends callbacks.
func (j *job) connect(stderr io.Writer) (closeFake func(), err error) {
	if os.Getenv("VIDU_BASE_URL") == "" && os.Getenv("VIDU_API_KEY") == "" {
		if j.official || j.callbackURL != "" {
			return nil, errors.New("-official and -callback-url need VIDU_BASE_URL and VIDU_API_KEY")
		}
		fake := vidutest.NewServer(vidutest.WithCallbacks(newSender()))
		fmt.Fprintf(stderr, "No VIDU_BASE_URL and VIDU_API_KEY: using a fake server at %s, nothing is charged.\n", fake.URL)
		j.secret = vidutest.APIKey
		j.client, err = vidu.NewClient(fake.URL, j.secret)
		return fake.Close, err
	}
	if u, err := url.Parse(j.callbackURL); err != nil || u.Host == "" {
		return nil, errors.New("-callback-url must be a public URL of this program, such as https://example.com/vidu")
	}
	var opts []vidu.Option
	if j.official {
		opts = append(opts, vidu.WithOfficialAPI())
	}
	j.secret = os.Getenv("VIDU_API_KEY") // callbacks are signed with it
	j.client, err = vidu.NewClientFromEnv(opts...)
	return func() {}, err
}
