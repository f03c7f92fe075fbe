package redisstore_test

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/examples/redisstore"
	"github.com/vidu-go/vidu/vidutest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	key   = "vidu:nonce:1"
	lease = time.Minute
)

// startRedis starts a server of the test's own and returns the path of its socket. Without redis-server it skips.
func startRedis(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("there is no redis-server here")
	}
	folder, err := os.MkdirTemp("", "redis") //nolint:usetesting // the path of a socket must be short
	require.NoError(t, err)
	socket := filepath.Join(folder, "s")
	server := exec.Command(program, "--port", "0", "--unixsocket", socket, "--dir", folder, "--save", "") //nolint:noctx // ended below
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		_ = os.RemoveAll(folder)
	})
	return socket
}

// connect returns a client, as a process of its own has it.
func connect(t *testing.T, socket string) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	t.Cleanup(func() { _ = rdb.Close() })
	require.Eventually(t, func() bool { return rdb.Ping(t.Context()).Err() == nil }, 10*time.Second, 5*time.Millisecond)
	return rdb
}

// processes returns the stores of two processes that share a Redis, and a client of it.
func processes(t *testing.T) (one, other *redisstore.Store, rdb *redis.Client) {
	t.Helper()
	socket := startRedis(t)
	rdb = connect(t, socket)
	return redisstore.New(rdb), redisstore.New(connect(t, socket)), rdb
}

// endLease makes the claim of key end now, as its lease does later.
func endLease(t *testing.T, rdb *redis.Client) {
	t.Helper()
	ended, err := rdb.PExpire(t.Context(), key, 0).Result()
	require.NoError(t, err)
	require.True(t, ended, "there was a claim")
}

func assertFree(t *testing.T, s *redisstore.Store) {
	t.Helper()
	done, err := s.Claim(t.Context(), key, lease)
	require.NoError(t, err)
	assert.False(t, done)
}

func assertHeld(t *testing.T, s *redisstore.Store) {
	t.Helper()
	done, err := s.Claim(t.Context(), key, lease)
	require.ErrorContains(t, err, "another delivery")
	assert.False(t, done)
}

func assertDone(t *testing.T, s *redisstore.Store) {
	t.Helper()
	done, err := s.Claim(t.Context(), key, lease)
	require.NoError(t, err)
	assert.True(t, done)
}

func TestStore_OneClaimAtATime(t *testing.T) {
	t.Parallel()
	one, other, rdb := processes(t)
	assertFree(t, one)
	assertHeld(t, one)
	assertHeld(t, other)
	left := rdb.PTTL(t.Context(), key).Val()
	assert.LessOrEqual(t, left, lease)
	assert.Greater(t, left, lease/2)

	require.NoError(t, one.Release(t.Context(), key))
	assertFree(t, other)
	require.NoError(t, other.Commit(t.Context(), key, time.Hour))
	assertDone(t, one)
	assertDone(t, other)
	assert.Greater(t, rdb.PTTL(t.Context(), key).Val(), lease)
}

// A delivery that outlived its lease does not end the claim of the one that came after it.
func TestStore_ReleaseAfterTheLease(t *testing.T) {
	t.Parallel()
	one, other, rdb := processes(t)
	assertFree(t, one)
	endLease(t, rdb)
	assertFree(t, other)

	require.NoError(t, one.Release(t.Context(), key))
	assertHeld(t, one)
	require.NoError(t, other.Release(t.Context(), key))
	assertFree(t, one)
}

// The two may be of one process, where the second is kept out until the first has ended.
func TestStore_LeaseEndsWithinAProcess(t *testing.T) {
	t.Parallel()
	one, other, rdb := processes(t)
	assertFree(t, one)
	endLease(t, rdb)
	assertHeld(t, one)
	require.NoError(t, one.Release(t.Context(), key))
	assertFree(t, one)
	assertHeld(t, other)
}

// What was done is done, and the delivery that began the same work meanwhile does not undo that.
func TestStore_CommitAfterTheLease(t *testing.T) {
	t.Parallel()
	one, other, rdb := processes(t)
	assertFree(t, one)
	endLease(t, rdb)
	assertFree(t, other)
	require.NoError(t, one.Commit(t.Context(), key, time.Hour))
	require.NoError(t, other.Release(t.Context(), key))
	assertDone(t, one)
	assertDone(t, other)
}

// A process that dies leaves its claim until the lease ends.
func TestStore_ProcessDies(t *testing.T) {
	t.Parallel()
	one, other, rdb := processes(t)
	assertFree(t, one)
	assertHeld(t, redisstore.New(rdb))
	endLease(t, rdb)
	assertFree(t, other)
}

// When the answer to a claim is lost, go-redis sends the command again and finds the token that it has just stored.
func TestStore_AnswerToAClaimIsLost(t *testing.T) {
	t.Parallel()
	socket := startRedis(t)
	other := redisstore.New(connect(t, socket))
	var lose atomic.Bool
	rdb := redis.NewClient(&redis.Options{Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		return &lossy{conn, &lose}, err
	}})
	t.Cleanup(func() { _ = rdb.Close() })
	require.NoError(t, rdb.Ping(t.Context()).Err())

	store := redisstore.New(rdb)
	lose.Store(true)
	assertFree(t, store)
	assert.False(t, lose.Load(), "an answer was lost")
	assertHeld(t, other)
	require.NoError(t, store.Release(t.Context(), key))
	assertFree(t, other)
}

// lossy is a connection that breaks in place of the next answer, which is known to have come.
type lossy struct {
	net.Conn

	lose *atomic.Bool
}

func (c *lossy) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.lose.CompareAndSwap(true, false) {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

func TestStore_RedisIsDown(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: filepath.Join(t.TempDir(), "none"), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	store := redisstore.New(rdb)
	for range 2 {
		done, err := store.Claim(t.Context(), key, lease)
		require.ErrorContains(t, err, "dial unix", "not that another delivery has it")
		assert.False(t, done)
	}
	require.Error(t, store.Commit(t.Context(), key, time.Hour))
	require.Error(t, store.Release(t.Context(), key))
}

// Two processes with a handler each, and every callback delivered to both at once: fn is called once for each task.
func TestStore_TwoHandlers(t *testing.T) {
	t.Parallel()
	one, other, _ := processes(t)
	fake := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer fake.Close()

	const tasks = 20
	var mu sync.Mutex
	seen, failures := map[string]int{}, 0
	fn := func(_ context.Context, task *vidu.Task) error {
		mu.Lock()
		defer mu.Unlock()
		if failures < tasks/2 {
			failures++
			return errors.New("queue full")
		}
		seen[task.ID]++
		return nil
	}
	client, err := vidu.NewClient(fake.URL, vidutest.APIKey)
	require.NoError(t, err)
	var handlers []http.Handler
	for _, store := range []*redisstore.Store{one, other} {
		handler, err := client.CallbackHandler(vidutest.APIKey, fn, vidu.WithNonceStore(store))
		require.NoError(t, err)
		handlers = append(handlers, handler)
	}

	var running sync.WaitGroup
	for range tasks {
		task, err := client.Text2Video(t.Context(), &vidu.Text2VideoRequest{Model: vidu.ModelQ2, Prompt: "A boat."})
		require.NoError(t, err)
		callback := vidutest.Callback{TaskID: task.ID, URL: "https://example.com/hook", Date: time.Now(), Nonce: task.ID}
		for i := range 6 {
			running.Go(func() { deliver(t, fake, handlers[i%2], callback) })
		}
	}
	running.Wait()
	assert.Len(t, seen, tasks)
	for id, times := range seen {
		assert.Equal(t, 1, times, id)
	}
}

// deliver delivers a callback until it is taken.
func deliver(t *testing.T, fake *vidutest.Server, handler http.Handler, callback vidutest.Callback) {
	t.Helper()
	assert.Eventually(t, func() bool {
		r, err := fake.NewCallback(t.Context(), callback)
		if !assert.NoError(t, err) {
			return false
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code == http.StatusOK
	}, 10*time.Second, 5*time.Millisecond)
}

func ExampleNew() {
	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379"})
	client, err := vidu.NewClientFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	handler, err := client.CallbackHandler(os.Getenv("VIDU_API_KEY"), func(_ context.Context, task *vidu.Task) error {
		return nil // store that task.ID has ended
	}, vidu.WithNonceStore(redisstore.New(rdb)))
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/vidu/callback", handler)
}
