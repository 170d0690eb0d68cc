/** Name of the stack's own API key: that of every route that names no other. */
export const DEFAULT_API_KEY = 'default';

/**
 * What a secret holds until a person sets the key. It must never change: CloudFormation writes a secret's value only
 * when the template's value differs from the last one, so the key that was set survives every deployment.
 */
export const API_KEY_PLACEHOLDER = 'not-set';
