/** The JSON body of a request or an answer. */
export type Body = Record<string, unknown>;

/** What an endpoint answers: an HTTP status and a JSON body. */
export type Answer = { status: number; body: Body };
