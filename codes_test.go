package vidu_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
)

// TestCodes_EveryConstantHasARow reads the constants from the source, for nothing else lists them.
func TestCodes_EveryConstantHasARow(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	require.NoError(t, err)
	constants := map[vidu.ErrorCode]bool{}
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			constant := spec.(*ast.ValueSpec) //nolint:forcetypeassert // of a const group
			if name, ok := constant.Type.(*ast.Ident); ok && name.Name == "ErrorCode" {
				code, err := strconv.Unquote(constant.Values[0].(*ast.BasicLit).Value) //nolint:forcetypeassert // a string
				require.NoError(t, err)
				constants[vidu.ErrorCode(code)] = true
			}
		}
	}
	assert.Greater(t, len(constants), 30)
	rows := vidu.CodeRows()
	assert.ElementsMatch(t, slices.Collect(maps.Keys(constants)), rows, "each constant once")
}

// TestCodes_StandForAStatus lists the codes of responses whose body names none.
func TestCodes_StandForAStatus(t *testing.T) {
	t.Parallel()
	want := map[int]vidu.ErrorCode{
		400: vidu.ErrBadRequest, 401: vidu.ErrUnauthorized, 402: vidu.ErrCreditInsufficient, 403: vidu.ErrForbidden,
		404: vidu.ErrNotFound, 409: vidu.ErrConflict, 429: vidu.ErrTooManyRequests, 499: vidu.ErrCanceled,
		500: vidu.ErrInternalServiceFailure,
	}
	for status := range 600 {
		assert.Equal(t, want[status], vidu.CodeOfStatus(status), "%d", status)
	}
}
