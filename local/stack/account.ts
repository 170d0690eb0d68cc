/** The account that a local stack is in. */

/** Region of everything. */
export const REGION = 'us-east-1';
/** Account of everything. */
export const ACCOUNT_ID = '000000000000';
