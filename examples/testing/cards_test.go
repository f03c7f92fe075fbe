package cards_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	cards "github.com/vidu-go/vidu/examples/testing"
	"github.com/vidu-go/vidu/vidutest"
)

func newService(t *testing.T, clientOpt vidu.Option, serverOpts ...vidutest.Option) (*cards.Service, *vidutest.Server) {
	t.Helper()
	server := vidutest.New(t, append(serverOpts, vidutest.WithTiming(0, 0))...)
	client, err := vidu.NewClient(server.URL, vidutest.APIKey, clientOpt)
	require.NoError(t, err)
	return &cards.Service{Client: client, Dir: t.TempDir(), Motif: vidu.URL("https://example.com/cake.png")}, server
}

func TestOneVideoPerOrder(t *testing.T) {
	t.Parallel()
	service, server := newService(t, nil)
	shop := t.TempDir()
	service.Dir = filepath.Join(shop, "cards")
	require.NoError(t, os.Mkdir(service.Dir, 0o700))
	files := make(map[string]bool)
	orders := []string{"1", "2", "../2", "A", "a", "", ".", "..", "/", `..\2`, "C:2", "con", "2\x00"}
	for _, order := range append(orders, orders...) {
		path, err := service.Card(t.Context(), order, "The cake says: many happy returns.")
		require.NoError(t, err, order)
		require.FileExists(t, path)
		assert.Equal(t, service.Dir, filepath.Dir(path), "%q leads out of the folder", order)
		files[strings.ToLower(path)] = true
	}
	assert.Len(t, files, len(orders), "two orders share a file, or would on a case-insensitive disk")
	assert.Equal(t, len(orders), server.Charged())
	found, err := os.ReadDir(shop)
	require.NoError(t, err)
	assert.Len(t, found, 1, "nothing is outside the folder")
}

// TestReplyLost has a create that is charged and whose answer is lost.
func TestReplyLost(t *testing.T) {
	t.Parallel()
	service, server := newService(t, nil)
	server.DropReplyAfterCommit()
	for range 3 { // impatient customers
		_, err := service.Card(t.Context(), "7", "The cake says: congratulations.")
		require.ErrorIs(t, err, vidu.ErrMaybeCreated)
		assert.Equal(t, 1, server.Charged(), "not paid twice")
	}
}

// TestReplyLostAndFound has a server that lists tasks, so that the paid one is found by the order's id.
func TestReplyLostAndFound(t *testing.T) {
	t.Parallel()
	service, server := newService(t, vidu.WithOfficialAPI(), vidutest.WithOfficialAPI())
	server.DropReplyAfterCommit()
	_, err := service.Card(t.Context(), "7", "The cake says: congratulations.")
	require.ErrorIs(t, err, vidu.ErrMaybeCreated)

	path, err := service.Card(t.Context(), "7", "The cake says: congratulations.")
	require.NoError(t, err)
	assert.FileExists(t, path)
	assert.Equal(t, 1, server.Charged(), "not paid twice")
}

func TestTaskFailed(t *testing.T) {
	t.Parallel()
	service, server := newService(t, nil)
	server.FailTask("AuditFailed")
	for range 2 {
		_, err := service.Card(t.Context(), "8", "The cake says something rude.")
		require.ErrorIs(t, err, vidu.ErrorCode("AuditFailed"))
		assert.Equal(t, 1, server.Charged(), "not ordered twice")
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	service, server := newService(t, nil)
	server.FailNext(400, "")
	_, err := service.Card(t.Context(), "9", "The cake says: get well.")
	require.Error(t, err)
	require.NotErrorIs(t, err, vidu.ErrMaybeCreated)
	left, err := os.ReadDir(service.Dir)
	require.NoError(t, err)
	assert.Empty(t, left, "the record is gone")
	_, err = service.Card(t.Context(), "9", "The cake says: get well.")
	require.NoError(t, err, "nothing was created, so the order was not used up")

	var payloads []string
	for _, r := range server.Requests() {
		if r.Endpoint != "" {
			var create struct{ Payload string }
			require.NoError(t, json.Unmarshal(r.Body, &create))
			payloads = append(payloads, create.Payload)
		}
	}
	require.Len(t, payloads, 2)
	assert.NotEqual(t, payloads[0], payloads[1], "a new payload for every create")
}

// TestCrash has a record as a crash leaves it, at every byte: the task is found, or an operator is asked. It is never
// created again.
func TestCrash(t *testing.T) {
	t.Parallel()
	for name, official := range map[string]bool{"lists tasks": true, "lists none": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var serverOpt vidutest.Option
			var clientOpt vidu.Option
			if official {
				serverOpt, clientOpt = vidutest.WithOfficialAPI(), vidu.WithOfficialAPI()
			}
			service, server := newService(t, clientOpt, serverOpt)
			video, err := service.Card(t.Context(), "7", "The cake says: congratulations.")
			require.NoError(t, err)
			record := strings.TrimSuffix(video, ".mp4") + ".task"
			whole, err := os.ReadFile(record)
			require.NoError(t, err)
			payload := strings.Index(string(whole), "\n") + 1

			for size := len(whole); size >= 0; size-- {
				require.NoError(t, os.WriteFile(record, whole[:size], 0o600))
				require.NoError(t, os.WriteFile(video, nil, 0o600)) // an empty file is no video
				_, err := service.Card(t.Context(), "7", "The cake says: congratulations.")
				if size == len(whole) || official && size >= payload {
					require.NoError(t, err, "%d bytes", size)
					found, err := os.Stat(video)
					require.NoError(t, err)
					assert.NotZero(t, found.Size())
				} else {
					require.ErrorIs(t, err, vidu.ErrMaybeCreated, "%d bytes", size)
				}
			}
			assert.Equal(t, 1, server.Charged(), "not paid twice")
		})
	}
}
