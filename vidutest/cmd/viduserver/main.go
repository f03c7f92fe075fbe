// Command viduserver serves the fake of package vidutest until it is interrupted: for tests in other languages, and in
// place of the API in a local stack. It makes no videos and charges nothing. The first line it prints is its URL; then
// it says how to call it, and logs every request.
//
//	go run ./vidutest/cmd/viduserver
//	go run ./vidutest/cmd/viduserver -addr 127.0.0.1:0 -official -work 30s
//	go run ./vidutest/cmd/viduserver -drop-reply -fail-next 502 -probability 0.1
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vidu-go/vidu/vidutest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "viduserver:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	addr, prefix, publicURL, key string
	official, unknown, callbacks bool
	queue, work                  time.Duration
	limit                        int
	endpoints, failNext          list
	dropReply, cutReply          bool
	delay                        time.Duration
	probability                  float64
	seed                         uint64
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

func (st *settings) parse(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("viduserver", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&st.addr, "addr", "127.0.0.1:8787", "`address` to listen on; port 0 is any free one")
	flags.StringVar(&st.publicURL, "public-url", "", "`URL` that result links begin with, if clients reach the server by another")
	flags.StringVar(&st.prefix, "prefix", "", "`path` that the API's paths begin with (default /vidu/v2, with -official /ent/v2)")
	flags.StringVar(&st.key, "key", vidutest.APIKey, "API `key` that is accepted")
	flags.BoolVar(&st.official, "official", false, "speak as the official API: Token, cancel, list, credits and uploads")
	flags.BoolVar(&st.unknown, "unknown-fields", false, "accept fields that are not documented")
	flags.BoolVar(&st.callbacks, "callbacks", true, "send the callbacks that creates ask for")
	flags.Var(&st.endpoints, "endpoint", "`name` of a further create that takes any JSON object; may be given several times")
	flags.DurationVar(&st.queue, "queue", time.Second, "time that a task queues")
	flags.DurationVar(&st.work, "work", 2*time.Second, "time that a task works")
	flags.IntVar(&st.limit, "task-limit", 0, "`number` of tasks that may run at once, 0 for any")
	flags.Var(&st.failNext, "fail-next", "fault: answer a create with this `status`; may be given several times")
	flags.BoolVar(&st.dropReply, "drop-reply", false, "fault: make and charge the task, and cut the connection in place of an answer")
	flags.BoolVar(&st.cutReply, "cut-reply", false, "fault: make and charge the task, and cut the answer in its middle")
	flags.DurationVar(&st.delay, "delay", 0, "fault: answer a create so much later")
	flags.Float64Var(&st.probability, "probability", 0, "let every create suffer one of the faults with this `chance` of 0 to 1 (default: each fault once)")
	flags.Uint64Var(&st.seed, "seed", 1, "`number` that decides, with -probability, which creates suffer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case !(st.probability >= 0 && st.probability <= 1):
		return fmt.Errorf("-probability is %v, it must be 0 to 1", st.probability)
	}
	return nil
}

// options returns the options of the fake. A value that vidutest refuses is an error here, not a panic.
func (st *settings) options(base string) (opts []vidutest.Option, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New(strings.TrimPrefix(fmt.Sprint(p), "vidutest: "))
		}
	}()
	opts = []vidutest.Option{
		vidutest.InMemory(), vidutest.WithAPIKey(st.key), vidutest.WithTiming(st.queue, st.work), vidutest.WithTaskLimit(st.limit),
		vidutest.WithPublicURL(cmp.Or(st.publicURL, base)),
	}
	if st.official {
		opts = append(opts, vidutest.WithOfficialAPI())
	}
	if st.prefix != "" {
		opts = append(opts, vidutest.WithAPIPath(strings.TrimSuffix(st.prefix, "/")))
	}
	if st.unknown {
		opts = append(opts, vidutest.WithUnknownFields())
	}
	if st.callbacks {
		opts = append(opts, vidutest.WithCallbacks(&http.Client{Timeout: 10 * time.Second}))
	}
	for _, name := range st.endpoints {
		opts = append(opts, vidutest.WithEndpoint(name))
	}
	return opts, nil
}

// faults returns the faults among the flags, each as a function that queues it.
func (st *settings) faults() ([]func(*vidutest.Script), error) {
	var all []func(*vidutest.Script)
	for _, text := range st.failNext {
		status, err := strconv.Atoi(text)
		if err != nil || status < 200 || status > 599 {
			return nil, fmt.Errorf("-fail-next is %q, it must be a status of 200 to 599", text)
		}
		all = append(all, func(s *vidutest.Script) { s.FailNext(status, "") })
	}
	if st.dropReply {
		all = append(all, (*vidutest.Script).DropReplyAfterCommit)
	}
	if st.cutReply {
		all = append(all, (*vidutest.Script).DropMidBody)
	}
	if st.delay > 0 {
		all = append(all, func(s *vidutest.Script) { s.Delay(st.delay) })
	}
	if st.probability > 0 && len(all) == 0 {
		return nil, errors.New("-probability needs a fault, such as -drop-reply")
	}
	return all, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var st settings
	if err := st.parse(args, stderr); err != nil {
		return err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", st.addr)
	if err != nil {
		return err
	}
	defer listener.Close() //nolint:errcheck // the server has closed it, unless there is none
	base := "http://" + reachable(listener.Addr().(*net.TCPAddr))
	opts, err := st.options(base)
	if err != nil {
		return err
	}
	faults, err := st.faults()
	if err != nil {
		return err
	}
	fake := vidutest.NewServer(opts...)
	defer fake.Close()
	h := &handler{fake: fake, log: stderr, random: rand.New(rand.NewPCG(st.seed, 0))} //nolint:gosec // it decides faults
	if st.probability > 0 {
		h.faults, h.probability = faults, st.probability
	} else {
		creates := fake.When(func(r vidutest.Request) bool { return r.Endpoint != "" })
		for _, queue := range faults {
			queue(creates)
		}
	}
	st.explain(stdout, base)

	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })() // the listener is discarded
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	_, _ = fmt.Fprintf(stderr, "%d tasks were created and charged\n", fake.Charged())
	return nil
}

// reachable returns the address by which this machine reaches a listener.
func reachable(addr *net.TCPAddr) string {
	if addr.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(addr.Port))
	}
	return addr.String()
}

// explain prints the URL, and how to call the server.
func (st *settings) explain(w io.Writer, base string) {
	path, scheme, option := "/vidu/v2", "Bearer", ""
	if st.official {
		path, scheme, option = "/ent/v2", "Token", ", vidu.WithOfficialAPI()"
	}
	if st.prefix != "" {
		path = strings.TrimSuffix(st.prefix, "/")
		option += fmt.Sprintf(", vidu.WithAPIPath(%q)", path)
	}
	header := fmt.Sprintf(`-H "Authorization: %s %s" -H "Content-Type: application/json"`, scheme, st.key)
	_, _ = fmt.Fprintf(w, `%[1]s

Create a task:
curl %[1]s%[2]s/reference2video %[3]s -d '{"model":"viduq2-pro","images":["https://example.com/hero.png"],"prompt":"The astronaut waved.","duration":5,"seed":0,"resolution":"720p","movement_amplitude":"auto","off_peak":false}'

Ask for it:
curl %[1]s%[2]s/tasks/ID/creations %[3]s

From Go: vidu.NewClient(%[1]q, %[4]q%[5]s)
Ctrl-C ends it.
`, base, path, header, st.key, option)
}

// handler logs requests and lets creates suffer.
type handler struct {
	fake *vidutest.Server

	mu          sync.Mutex // for all below
	log         io.Writer
	faults      []func(*vidutest.Script)
	probability float64
	random      *rand.Rand
	drawn       int
}

// drawHeader connects a request with the fault that was drawn for it.
const drawHeader = "Viduserver-Draw"

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.draw(r)
	began := time.Now()
	seen := &statusWriter{ResponseWriter: w}
	defer func() { h.note(r, seen.status, time.Since(began)) }() // also when the connection is cut
	h.fake.ServeHTTP(seen, r)
}

// draw decides whether a create suffers, and by which fault.
func (h *handler) draw(r *http.Request) {
	r.Header.Del(drawHeader)
	if r.Method != http.MethodPost || strings.Contains(r.URL.Path, "/tasks/") || strings.HasPrefix(r.URL.Path, "/tools/") {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.faults) == 0 || h.random.Float64() >= h.probability {
		return
	}
	h.drawn++
	id := strconv.Itoa(h.drawn)
	r.Header.Set(drawHeader, id)
	this := h.fake.When(func(r vidutest.Request) bool { return r.Endpoint != "" && r.Header.Get(drawHeader) == id })
	h.faults[h.random.IntN(len(h.faults))](this)
}

func (h *handler) note(r *http.Request, status int, took time.Duration) {
	answer := strconv.Itoa(status)
	if status == 0 {
		answer = "cut"
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, _ = fmt.Fprintln(h.log, r.Method, strconv.Quote(r.URL.EscapedPath()), answer, took.Round(time.Millisecond))
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets net/http find what else the writer can do.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
