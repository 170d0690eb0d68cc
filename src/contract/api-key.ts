/**
 * What the secret holds until a person sets the key. It must never change: CloudFormation writes a secret's value only
 * when the template's value differs from the last one, so the key that was set survives every deployment.
 */
export const API_KEY_PLACEHOLDER = 'not-set';
