/**
 * A look at every call that the functions make, before and after its effect, with the power to kill the process that
 * makes it: what a test needs to show that a death at any moment does no harm.
 */

/** One call of a function to one of the services, at one of its two moments. */
export interface ServiceCall {
  service: 's3' | 'dynamodb' | 'sqs' | 'eventbridge' | 'secretsmanager' | 'openai';
  /** The API's own name, such as `PutObject` or `SendMessageBatch`; for OpenAI method and path, `POST /v1/batches`. */
  operation: string;
  /** Key of the object, name of the table, queue or secret; empty where a call names none, and for OpenAI. */
  resource: string;
  /** What was sent, where it is JSON: to DynamoDB, SQS, EventBridge and Secrets Manager. */
  input?: unknown;
  /**
   * `before`: nothing has happened yet; `after`: the effect, if there is one, is on disk, and the caller has not been
   * answered.
   */
  moment: 'before' | 'after';
  /** Security token of the process that calls: each has its own. */
  sessionToken: string;
}

/**
 * Sees a call. With `cut` the connection is cut at once: `before` the call never happens, `after` its answer is never
 * sent.
 */
export type Intercept = (call: ServiceCall) => 'cut' | undefined;

/** The header that carries {@link ServiceCall.sessionToken}, as in AWS. */
export const SESSION_TOKEN_HEADER = 'x-amz-security-token';
