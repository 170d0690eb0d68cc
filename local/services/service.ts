/** The shape that all local services share. */
import type { Authorize } from './iam/policy.ts';
import type { Intercept } from './interception.ts';

/** A running service on 127.0.0.1. */
export interface LocalService {
  /** `http://127.0.0.1:PORT` */
  endpoint: string;
  port: number;
  close(): Promise<void>;
}

/** What each service may be started with. */
export interface ServiceOptions {
  /** @default the system chooses */
  port?: number | undefined;
  /** Refuses calls. @default every call is allowed */
  authorize?: Authorize | undefined;
  /** Sees the calls of functions. */
  intercept?: Intercept | undefined;
}
