// The default fields of an alert in which the address to block is looked for.

/** Where alerts keep the offender's address, under `parameters.alert`; the first that holds one wins. */
export const DEFAULT_ADDRESS_FIELDS: readonly string[] = Object.freeze([
  'data.srcip',
  'data.srcip2',
  'data.win.eventdata.ipAddress',
  'data.src_ip',
  'data.source_address',
  'data.remip',
  'data.mariadb.ip',
  'data.ip_address',
  'data.audit.srcip',
  'data.ClientIP',
]);

/** The same in a document of Wazuh 5. */
export const WAZUH5_ADDRESS_FIELDS: readonly string[] = Object.freeze(['source.ip']);

/** The same for cloud services, whose offenders seldom touch this host. */
export const CLOUD_ADDRESS_FIELDS: readonly string[] = Object.freeze([
  'data.office365.ClientIP',
  'data.aws.sourceIPAddress',
  'data.aws.source_ip_address',
  'data.aws.client_ip',
  'data.aws.httpRequest.clientIp',
  'data.gcp.jsonPayload.sourceIP',
  'data.gcp.protoPayload.requestMetadata.callerIp',
  'data.ms-graph.ipAddress',
]);
