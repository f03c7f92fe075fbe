package vidutest

import (
	"net/http"
	"strings"
)

// rules map words in prompts to error codes.
type rules []rule

type rule struct{ word, code string }

// code returns the code of the first rule that a prompt breaks, "" when it breaks none.
func (rs rules) code(prompt string) string {
	for _, r := range rs {
		if strings.Contains(prompt, r.word) {
			return r.code
		}
	}
	return ""
}

// refuse returns the refusal of a prompt, nil when it breaks no rule.
func (rs rules) refuse(prompt string) *answer {
	code := rs.code(prompt)
	if code == "" {
		return nil
	}
	return new(refuse(http.StatusBadRequest, code, "the prompt was refused by moderation"))
}
