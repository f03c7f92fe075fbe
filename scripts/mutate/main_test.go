package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGuardsAreWhereTheListSays fails as soon as code moves away from under a mutation, which would take minutes to find
// out by running them.
func TestGuardsAreWhereTheListSays(t *testing.T) {
	t.Parallel()
	for _, m := range slices.Concat(mutations, waitingMutations) {
		text, err := os.ReadFile("../../" + m.file)
		require.NoError(t, err)
		assert.Equal(t, 1, strings.Count(string(text), m.old), m.guard)
	}
}
