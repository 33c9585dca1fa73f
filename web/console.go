package web

import (
	"embed"
	"time"
)

// ConsolePage is the page for operators. Its script fills it.
type ConsolePage struct {
	// View is one of [ConsoleViews].
	View string
	// Subject is who has signed in, and Left how long that still lasts, whatever the
	// reader's clock says.
	Subject string
	Left    time.Duration
}

// SignInPage asks for a JWT.
type SignInPage struct {
	// Next is where to go then.
	Next string
	// Problem is why it asks again.
	Problem SignInProblem
}

// SignInProblem is why somebody has to sign in again, or could not.
type SignInProblem int

// The problems.
const (
	NoProblem SignInProblem = iota
	// SessionOver: the session has ended.
	SessionOver
	// JWTRefused: the JWT proves nothing here.
	JWTRefused
	// JWTUnproven: the keys of its issuer cannot be had.
	JWTUnproven
	// JWTTooLong: no cookie can hold it.
	JWTTooLong
)

func (p SignInProblem) in(l Language) string {
	switch p {
	case SessionOver:
		return l.Say("Your session has ended. Sign in again to go on where you were.")
	case JWTRefused:
		return l.Say("This JWT is not accepted. It may have expired, or be meant for somebody else.")
	case JWTUnproven:
		return l.Say("The keys of the issuer of this JWT cannot be had at the moment. Try again soon.")
	case JWTTooLong:
		return l.Say("This JWT is longer than a cookie can be. Ask for one with fewer claims.")
	}
	return ""
}

//go:embed console
var consoleFiles embed.FS

// consoleFile is one of the files, which are fixed.
func consoleFile(name string) string {
	text, err := consoleFiles.ReadFile("console/" + name)
	if err != nil {
		panic(err)
	}
	return string(text)
}

var consolePage = newPage(source{
	layout: consoleFile("layout.html"), style: consoleFile("console.css"),
	scripts: []string{
		"const lines = " + consoleFile("lines.json") + ";\n", consoleFile("page.js"), consoleFile("ask.js"), consoleFile("line.js"), consoleFile("window.js"),
		consoleFile("transfers.js"), consoleFile("tokens.js"), consoleFile("revoke.js"), consoleFile("fleet.js"), consoleFile("events.js"),
		consoleFile("mint.js"), consoleFile("views.js"),
	},
})

var signInPage = newPage(source{html: consoleFile("signin.html"), scripts: []string{consoleFile("signin.js")}})

// ConsoleViews are what the console shows, as addresses below it name it, the first
// one first.
func ConsoleViews() []string {
	return []string{"transfers", "tokens", "mint", "revoke", "revocations", "events", "gates", "buckets", "leaks"}
}

// viewName is what people call a view.
func viewName(l Language, view string) string {
	switch view {
	case "tokens":
		return l.Say("Tokens")
	case "mint":
		return l.Say("Mint a link")
	case "revoke":
		return l.Say("Revoke by rule")
	case "revocations":
		return l.Say("Revocations")
	case "events":
		return l.Say("Events")
	case "gates":
		return l.Say("Gates")
	case "buckets":
		return l.Say("Buckets")
	case "leaks":
		return l.Say("Leaks")
	}
	return l.Say("Transfers")
}

// ConsoleLines is how the command line does what the console does, in JSON: each
// action with its line, in which {name} is filled in, and the flags of what else may
// be given.
func ConsoleLines() string { return consoleFile("lines.json") }

// consoleView is the page as the template has it.
type consoleView struct {
	*frame
	Heading, Subject, Current string
	Views                     []Link
	Seconds                   int64
}

// Console renders the page. Its script asks below /console/api, and its form leads to
// /console/sign-out.
func Console(look Look, p ConsolePage) Document {
	f := consolePage.open(look)
	f.policy.forms, f.policy.connects = true, true
	l := f.Look.Language
	v := consoleView{frame: &f, Heading: viewName(l, p.View), Subject: visible(p.Subject), Current: "/console/" + p.View, Seconds: int64(p.Left.Seconds())}
	for _, view := range ConsoleViews() {
		v.Views = append(v.Views, Link{Name: viewName(l, view), Href: "/console/" + view})
	}
	return f.document(v)
}

// SignIn renders the page on which one signs in. Its form posts the fields "jwt"
// and "next" to /console/sign-in.
func SignIn(look Look, p SignInPage) Document {
	f := signInPage.open(look)
	f.policy.forms, f.policy.connects = true, true
	return f.document(struct {
		*frame
		Next, Problem string
	}{&f, p.Next, p.Problem.in(f.Look.Language)})
}
