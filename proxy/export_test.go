package proxy

// What the fuzz tests parse.
var (
	ContentDisposition = contentDisposition
	SingleRange        = singleRange
	Satisfiable        = satisfiable
	ContentRangeSize   = contentRangeSize
)
