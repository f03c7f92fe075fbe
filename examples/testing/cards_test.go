package cards_test

import (
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
}
