package cards_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	cards "github.com/vidu-go/vidu/examples/testing"
	"github.com/vidu-go/vidu/vidutest"
)

func newService(t *testing.T, clientOpt vidu.Option, serverOpts ...vidutest.Option) (*cards.Service, *vidutest.Server) {
	t.Helper()
	server := vidutest.NewServer(append(serverOpts, vidutest.WithTiming(0, 0))...)
	t.Cleanup(server.Close)
	client, err := vidu.NewClient(server.URL, vidutest.APIKey, clientOpt)
	require.NoError(t, err)
	return &cards.Service{Client: client, Dir: t.TempDir(), Motif: vidu.URL("https://example.com/cake.png")}, server
}

func TestOneVideoAnOrder(t *testing.T) {
	t.Parallel()
	service, server := newService(t, nil)
	for _, order := range []string{"1", "2", "2", "../2"} {
		path, err := service.Card(t.Context(), order, "The cake says: many happy returns.")
		require.NoError(t, err)
		assert.FileExists(t, path)
	}
	assert.Equal(t, 3, server.Charged())
}

// TestReplyLost is the worst that can happen to a paid call: it was charged, and the answer never came.
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
	_, err = service.Card(t.Context(), "9", "The cake says: get well.")
	require.NoError(t, err, "nothing was created, so the order was not used up")
}
