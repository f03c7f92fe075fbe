//go:build unix

package vidu_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// A pipe that nobody writes to would block open for ever.
func TestValidate_OpensNoPipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe.png")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	err := (&vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.File(path)}}).Validate()
	assert.ErrorContains(t, err, "not a regular file")
}

func TestValidate_UnreadableFile(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	path := testkit.WriteFile(t, "hero.png", testkit.PNG(t, 128, 128))
	require.NoError(t, os.Chmod(path, 0))
	err := (&vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.File(path)}}).Validate()
	assert.Equal(t, []string{"images[0]"}, problemFields(t, err))
}
