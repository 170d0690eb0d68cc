/** Requests to the function of operators of a stack, signed with the caller's AWS credentials. */
import { Sha256 } from '@smithy/core/checksum';
import { SignatureV4 } from '@smithy/signature-v4';
import {
  type Done,
  type OperateAction,
  type OperateInput,
  type OperateRefusal,
  operateAnswerSchema,
} from '../../src/contract/operate.ts';
import { NOT_CONNECTED, patientFetch } from '../../src/providers/openai/patient-fetch.ts';
import { createDynamoDBClient } from '../../src/runtime/clients.ts';
import { CannotRunError } from '../view/exit.ts';
import { type OpenStack, outputOf, requireRunning } from './stack.ts';

/** The function may run for 15 minutes (Lambda quotas); the rest is for its start and the network. */
const ANSWER_MS = 16 * 60_000;
/** Codes of errors before anything was sent. */
const NOT_SENT: ReadonlySet<string> = new Set([NOT_CONNECTED, 'ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN']);

/** The stack did not do it, and says why. */
export class RefusedByStackError extends CannotRunError {
  readonly refusal: OperateRefusal;

  constructor(refusal: OperateRefusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

type InputOf<Action extends OperateAction> = Omit<Extract<OperateInput, { action: Action }>, 'v'>;

/**
 * Asks the stack for something, and waits until it is done.
 * @param timeoutMs how long an answer is waited for.
 * @throws {RefusedByStackError} if the stack does not do it.
 * @throws {CannotRunError} if no answer came: it may have been done in part.
 * @throws {UsageError} if the stack is not running, or has no such function.
 */
export async function askStack<Action extends OperateAction>(
  stack: OpenStack,
  request: InputOf<Action> & { action: Action },
  timeoutMs = ANSWER_MS,
): Promise<Done<Action>> {
  requireRunning(stack);
  const url = new URL(outputOf(stack, 'OperateUrl'));
  const body = JSON.stringify({ v: 1, ...request });
  const headers = await signedHeaders(stack, url, body);
  const cutOff = (why: string): CannotRunError => {
    const named =
      'jobId' in request ? `repeat the command with the job id, ${request.jobId}` : 'repeat the command';
    return new CannotRunError(
      `the function of operators did not answer (${why}), and may have done it in part: ${named}`,
    );
  };
  let response: Response;
  let text: string;
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    response = await patientFetch(url, { method: 'POST', headers, body, signal });
    text = await response.text();
  } catch (error) {
    if (NOT_SENT.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    throw cutOff(reasonOf(error as Error));
  }
  const answer = operateAnswerSchema.safeParse(parsed(text)).data;
  if (answer?.ok === false) throw new RefusedByStackError(answer);
  if (answer?.action === request.action) return answer as Done<Action>;
  if (response.status >= 500) throw cutOff(`${response.status}: ${messageOf(text)}`);
  throw new Error(
    response.status === 403
      ? `AWS refused the call (403: ${messageOf(text)}): it takes lambda:InvokeFunctionUrl and lambda:InvokeFunction on the ` +
          'function of operators'
      : `the function of operators answered ${response.status} with nothing that this version understands: use the ` +
          'command line of the release that is deployed',
  );
}

/** The credentials are those that every client of the stack signs with. */
async function signedHeaders(stack: OpenStack, url: URL, body: string): Promise<Record<string, string>> {
  const client = createDynamoDBClient(stack.connectionTo('dynamodb'));
  try {
    const signer = new SignatureV4({
      service: 'lambda',
      region: await client.config.region(),
      credentials: await client.config.credentials(),
      sha256: Sha256,
    });
    const { headers } = await signer.sign({
      method: 'POST',
      protocol: url.protocol,
      hostname: url.hostname,
      path: url.pathname,
      query: {},
      headers: { host: url.host, 'content-type': 'application/json' },
      body,
    });
    return headers;
  } finally {
    client.destroy();
  }
}

/** Why no answer came; an abort says it in its cause. */
function reasonOf({ message, cause }: Error): string {
  return cause instanceof Error ? cause.message : message;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What Lambda says of a refusal. */
function messageOf(text: string): string {
  const { Message, message } = (parsed(text) ?? {}) as { Message?: string; message?: string };
  return Message ?? message ?? 'no reason given';
}
