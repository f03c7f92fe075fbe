package vidu

import (
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/vidu-go/vidu/internal/scrub"
)

// ErrorCode is the API's word for the cause of a failure. It is itself an error, so that one line matches a refused
// call and a failed task alike:
//
//	if errors.Is(err, vidu.ErrCreditInsufficient) { … }
//
// The set is open: codes that this package does not know pass through as they came. Source: the error codes page of
// platform.vidu.com.
type ErrorCode string //nolint:errname // "code" is the field's own term; the type is an error the way syscall.Errno is one

// Codes of a request that was refused for what it says. Sending it again as it is changes nothing.
const (
	ErrBadRequest               ErrorCode = "BadRequest"               // 400, the request as a whole; also a cancellation that came too late
	ErrFieldLacking             ErrorCode = "FieldLacking"             // 400, a required field is missing
	ErrFieldUnwanted            ErrorCode = "FieldUnwanted"            // 400, a field that the model does not take
	ErrFieldItemCountOutOfRange ErrorCode = "FieldItemCountOutOfRange" // 400, too few or too many images, videos or subjects
	ErrFieldInvalid             ErrorCode = "FieldInvalid"             // 400, a value that the model does not take
	ErrPageSizeOutOfRange       ErrorCode = "PageSizeOutOfRange"       // 400, of a list; at most 100
	ErrModelUnavailable         ErrorCode = "ModelUnavailable"         // 400, no such model, or not for this account
)

// Codes of media that cannot be used. The download failures usually come as the code of a failed task.
const (
	ErrImageFormatInvalid   ErrorCode = "ImageFormatInvalid"   // 400, not png, jpeg or webp
	ErrImageSizeInvalid     ErrorCode = "ImageSizeInvalid"     // 400, too large, too small or out of ratio
	ErrImageDownloadFailure ErrorCode = "ImageDownloadFailure" // 400, the server could not fetch a link
	ErrVideoFormatInvalid   ErrorCode = "VideoFormatInvalid"   // 400, not mp4, avi or mov
	ErrVideoDownloadFailure ErrorCode = "VideoDownloadFailure" // 400, the server could not fetch a link
)

// Codes of the content moderation.
const (
	ErrTaskPromptPolicyViolation ErrorCode = "TaskPromptPolicyViolation" // 400, the prompt
	ErrAuditSubmitIllegal        ErrorCode = "AuditSubmitIllegal"        // 400, what was sent
	ErrCreationPolicyViolation   ErrorCode = "CreationPolicyViolation"   // 400, the result
	ErrPhotoAuditNotPass         ErrorCode = "PhotoAuditNotPass"         // 400, an image
	ErrAuditFailed               ErrorCode = "AuditFailed"               // 400, of a failed task as a rule
)

// Codes of the account, the key and its limits. ErrCreditInsufficient also matches the words that gateways use for an
// empty balance, such as insufficient_quota or AccountOverdue.
const (
	ErrUnauthorized       ErrorCode = "Unauthorized"       // 401, the key is wrong or its scheme is, see [WithAuthScheme]
	ErrForbidden          ErrorCode = "Forbidden"          // 403, the key may not do this
	ErrCreditInsufficient ErrorCode = "CreditInsufficient" // 400 or 402, the balance is too low
	ErrQuotaExceeded      ErrorCode = "QuotaExceeded"      // 429, too many tasks at once; may pass
	ErrTooManyRequests    ErrorCode = "TooManyRequests"    // 429, too many requests; may pass
	ErrSystemThrottling   ErrorCode = "SystemThrottling"   // 429, the server is busy; may pass
)

// Codes of the state of a task or of the server.
const (
	ErrTaskNotFound           ErrorCode = "TaskNotFound"           // 404, no such task, or not yet; also task_not_exist
	ErrCreationNotFound       ErrorCode = "CreationNotFound"       // 404, no such result
	ErrNotFound               ErrorCode = "NotFound"               // 404; also of [Client.FindTask], where it means: not seen
	ErrOperationInProcess     ErrorCode = "OperationInProcess"     // 400, please wait; after a create a task may exist
	ErrConflict               ErrorCode = "Conflict"               // 409, a duplicate task may exist
	ErrUserCancelled          ErrorCode = "UserCancelled"          // of a task that was cancelled
	ErrCanceled               ErrorCode = "Canceled"               // 499, the request was abandoned midway; after a create a task may exist
	ErrInternalServiceFailure ErrorCode = "InternalServiceFailure" // 500, may pass; after a create a task may exist
)

// Error returns the code as the API spells it.
func (c ErrorCode) Error() string { return scrub.OneLine(string(c), 80) }

// Is makes the documented codes match the other spellings that gateways have for them: task_not_exist is
// [ErrTaskNotFound], and every word for an empty balance is [ErrCreditInsufficient].
func (c ErrorCode) Is(target error) bool {
	row := c.row()
	return row != nil && target == row.code
}

// isOutOfMoney reports whether the code means an empty balance, which no waiting cures.
func (c ErrorCode) isOutOfMoney() bool { return c.verdict() == outOfMoney }

// orNil returns nil for an absent code, which must not be in error chains.
func (c ErrorCode) orNil() error {
	if c == "" {
		return nil
	}
	return c
}

// codeVerdict is what a code proves about a create that was answered with it.
type codeVerdict uint8

const (
	notListed      codeVerdict = iota // nothing: no row has the code. The HTTP status decides; inside a 2xx the outcome is unknown
	refused                           // no task was created, and none will be for this request
	outOfMoney                        // no task was created, and none will be until the account is topped up
	mayPass                           // no task was created; a later attempt may succeed
	unknownOutcome                    // a task may exist, whatever the status
)

// statusClientClosed is nginx's "client closed request", which the API documents as Canceled.
const statusClientClosed = 499

// codeRow is what is known of a code.
type codeRow struct {
	code    ErrorCode
	status  int // the one that it usually comes with; 0: none, the code comes with a task
	verdict codeVerdict
	also    []string // words of gateways for the same, as foldWords has them
}

// codeRows has one row for each constant above. The first code of a status is the one that an error response stands for
// when its body names none.
var codeRows = []codeRow{
	{code: ErrBadRequest, status: http.StatusBadRequest, verdict: refused},
	{code: ErrFieldLacking, status: http.StatusBadRequest, verdict: refused},
	{code: ErrFieldUnwanted, status: http.StatusBadRequest, verdict: refused},
	{code: ErrFieldItemCountOutOfRange, status: http.StatusBadRequest, verdict: refused},
	{code: ErrFieldInvalid, status: http.StatusBadRequest, verdict: refused},
	{code: ErrPageSizeOutOfRange, status: http.StatusBadRequest, verdict: refused},
	{code: ErrModelUnavailable, status: http.StatusBadRequest, verdict: refused},

	{code: ErrImageFormatInvalid, status: http.StatusBadRequest, verdict: refused},
	{code: ErrImageSizeInvalid, status: http.StatusBadRequest, verdict: refused},
	{code: ErrImageDownloadFailure, status: http.StatusBadRequest, verdict: refused},
	{code: ErrVideoFormatInvalid, status: http.StatusBadRequest, verdict: refused},
	{code: ErrVideoDownloadFailure, status: http.StatusBadRequest, verdict: refused},

	{code: ErrTaskPromptPolicyViolation, status: http.StatusBadRequest, verdict: refused},
	{code: ErrAuditSubmitIllegal, status: http.StatusBadRequest, verdict: refused},
	{code: ErrCreationPolicyViolation, status: http.StatusBadRequest, verdict: refused},
	{code: ErrPhotoAuditNotPass, status: http.StatusBadRequest, verdict: refused},
	{code: ErrAuditFailed, status: http.StatusBadRequest, verdict: refused},

	{code: ErrUnauthorized, status: http.StatusUnauthorized, verdict: refused},
	{code: ErrForbidden, status: http.StatusForbidden, verdict: refused},
	{code: ErrCreditInsufficient, status: http.StatusPaymentRequired, verdict: outOfMoney}, // also: saysOutOfMoney
	{code: ErrTooManyRequests, status: http.StatusTooManyRequests, verdict: mayPass},
	{code: ErrQuotaExceeded, status: http.StatusTooManyRequests, verdict: mayPass},
	{code: ErrSystemThrottling, status: http.StatusTooManyRequests, verdict: mayPass},

	{code: ErrNotFound, status: http.StatusNotFound, verdict: refused},
	// A create looks for no task and no result: who misses one had begun.
	{code: ErrTaskNotFound, status: http.StatusNotFound, verdict: unknownOutcome, also: []string{"tasknotexist", "tasknotexists", "taskdoesnotexist"}},
	{code: ErrCreationNotFound, status: http.StatusNotFound, verdict: unknownOutcome},
	{code: ErrOperationInProcess, status: http.StatusBadRequest, verdict: unknownOutcome},
	{code: ErrConflict, status: http.StatusConflict, verdict: unknownOutcome},
	{code: ErrUserCancelled, verdict: unknownOutcome},
	{code: ErrCanceled, status: statusClientClosed, verdict: unknownOutcome},
	{code: ErrInternalServiceFailure, status: http.StatusInternalServerError, verdict: unknownOutcome},
}

// rowOf finds a row by each of its words.
var rowOf = func() map[string]*codeRow {
	rows := map[string]*codeRow{}
	for i := range codeRows {
		row := &codeRows[i]
		rows[foldWords(string(row.code))] = row
		for _, word := range row.also {
			rows[word] = row
		}
	}
	return rows
}()

// row returns the row of a code, whatever its letter case and what stands between its words; nil where there is none.
func (c ErrorCode) row() *codeRow {
	if c == "" || len(c) > maxCode {
		return nil
	}
	folded := foldWords(string(c))
	if row := rowOf[folded]; row != nil || !saysOutOfMoney(folded) {
		return row
	}
	return rowOf[foldWords(string(ErrCreditInsufficient))]
}

const maxCode = 100 // bytes; what is longer is no code

// verdict returns what the code proves about a create.
func (c ErrorCode) verdict() codeVerdict {
	if row := c.row(); row != nil {
		return row.verdict
	}
	return notListed
}

// isRefusal reports whether the code means that nothing was created, for now or for good.
func (c ErrorCode) isRefusal() bool { return slices.Contains(refusals, c.verdict()) }

// refusals are the kinds of codes that mean "not accepted", also inside a response whose status is 200.
var refusals = []codeVerdict{refused, outOfMoney, mayPass}

// codeOfStatus returns the code that an error response stands for when its body names none, "" for most statuses.
func codeOfStatus(status int) ErrorCode {
	for i := range codeRows {
		if row := &codeRows[i]; row.status == status && status != 0 {
			return row.code
		}
	}
	return ""
}

// foldWords returns text in lower case without what stands between its words, so that FieldInvalid, FIELD_INVALID and
// "field invalid" are one.
func foldWords(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}

// emptyBalance has the words for an empty balance, as foldWords has them: a lack of one of some things, or a word for
// it alone. A quota that is exceeded or exhausted is none: that is a limit, which may pass.
var emptyBalance = []struct{ lack, of []string }{
	{lack: []string{"insufficient", "notenough", "不足"}, of: []string{"credit", "balance", "fund", "quota", "余额", "额度"}},
	{lack: []string{"lackof", "exhausted", "depleted", "ranoutof"}, of: []string{"credit", "balance", "fund"}},
	{lack: []string{"overdue"}, of: []string{"account", "balance", "payment", "bill"}},
	{lack: []string{"outofcredit", "outofmoney", "outoffund", "nocredit", "nobalance", "nofund", "nomoney", "paymentrequired", "arrear", "欠费"}, of: []string{""}},
}

// saysOutOfMoney reports whether folded words mean that the account is empty.
func saysOutOfMoney(folded string) bool {
	has := func(word string) bool { return strings.Contains(folded, word) }
	for _, words := range emptyBalance {
		if slices.ContainsFunc(words.lack, has) && slices.ContainsFunc(words.of, has) {
			return true
		}
	}
	return false
}
