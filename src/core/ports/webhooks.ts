/** Webhooks: proof that they are the provider's, and what is remembered of them. */
import type { WebhookHealth } from '../model/webhook-health.ts';

/** What a request to the webhook URL brings, its names in lower case. */
export interface WebhookRequest {
  headers: Readonly<Record<string, string | undefined>>;
  /** The body as it was sent, and signed. */
  body: string;
}

/** What a signature shows. */
export type WebhookProof =
  | 'verified'
  /** Signed with another secret, not signed, or changed since. */
  | 'forged'
  /** Its time is further from ours than the client allows: sent again by someone, or on the way for long. */
  | 'too_old'
  | 'too_new';

/** What a webhook says, before anything of it is taken for more than text. */
export interface WebhookEvent {
  webhookId: string;
  type: string;
  /** The batch or response that it is about. */
  objectId: string;
}

/** The form of a provider's webhooks. */
export interface WebhookRules {
  /** Whether a request brings all that a signature takes: else there is nothing to check. */
  isSigned(request: WebhookRequest): boolean;
  /** Checks the signature and the time of a request, by the provider's own client. */
  verify(request: WebhookRequest, secret: string): Promise<WebhookProof>;
  /** Reads a request that is verified; `undefined`: it has not the form of an event. */
  read(request: WebhookRequest): WebhookEvent | undefined;
}

/** The signing secrets, by the name of the API key of their project. */
export interface WebhookSecrets {
  /** Those that are valid now: none until one is set, two while it is rotated. They may have been read minutes ago. */
  read(apiKey: string): Promise<readonly string[]>;
  /** The same, read now; `undefined` if they were read only seconds ago. */
  readAgain(apiKey: string): Promise<readonly string[] | undefined>;
}

/** What is remembered of webhooks. */
export interface WebhookStore {
  /** Whether an event of ours was dealt with in the last 72 hours. */
  wasObserved(webhookId: string): Promise<boolean>;
  /** Remembers an event of ours for 72 hours, for which OpenAI may send it again. */
  putObserved(webhookId: string, now: number): Promise<void>;
  /** `undefined`: none of ours has come yet with this API key. */
  getHealth(apiKey: string): Promise<WebhookHealth | undefined>;
  /** Changes that by a rule that may be asked again; `undefined` leaves it. */
  changeHealth(
    apiKey: string,
    rule: (current: WebhookHealth | undefined) => WebhookHealth | undefined,
  ): Promise<void>;
}
