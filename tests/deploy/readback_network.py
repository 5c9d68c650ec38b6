"""The network and its hosts, read back: see `readback`."""

from __future__ import annotations

import ast

from intrinsics import Stack
from moto_account import Account
from readback import Properties, reads


@reads("AWS::EC2::VPC")
def vpc(account: Account, stack: Stack, logical_id: str) -> Properties:
    ec2, vpc_id = account.client("ec2"), stack.ref(logical_id)
    (found,) = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"]
    for name in ("EnableDnsSupport", "EnableDnsHostnames"):
        attribute = name[0].lower() + name[1:]
        answer = ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute=attribute)
        found[name] = answer[name]["Value"]
    # CloudFormation's own marks stand beside the template's.
    found["Tags"] = [tag for tag in found["Tags"] if not tag["Key"].startswith("aws:")]
    return found


@reads("AWS::EC2::InternetGateway")
def gateway(account: Account, stack: Stack, logical_id: str) -> Properties:
    ids = [stack.ref(logical_id)]
    (found,) = account.client("ec2").describe_internet_gateways(InternetGatewayIds=ids)["InternetGateways"]
    return found


@reads("AWS::EC2::VPCGatewayAttachment")
def attachment(account: Account, stack: Stack, logical_id: str) -> Properties:
    wanted = stack.properties(logical_id)["InternetGatewayId"]
    found = account.client("ec2").describe_internet_gateways(InternetGatewayIds=[wanted])
    (attached,) = found["InternetGateways"][0]["Attachments"]
    return {"InternetGatewayId": wanted, "VpcId": attached["VpcId"]}


def table(account: Account, table_id: str) -> Properties:
    """A table of routes."""
    (found,) = account.client("ec2").describe_route_tables(RouteTableIds=[table_id])["RouteTables"]
    return found


@reads("AWS::EC2::RouteTable")
def route_table(account: Account, stack: Stack, logical_id: str) -> Properties:
    return table(account, stack.ref(logical_id))


@reads("AWS::EC2::Route")
def route(account: Account, stack: Stack, logical_id: str) -> Properties:
    wanted = stack.properties(logical_id)
    routes = table(account, wanted["RouteTableId"])["Routes"]
    to = wanted["DestinationCidrBlock"]
    (found,) = [one for one in routes if one.get("DestinationCidrBlock") == to]
    return found | {"RouteTableId": wanted["RouteTableId"]}


@reads("AWS::EC2::Subnet")
def subnet(account: Account, stack: Stack, logical_id: str) -> Properties:
    ids = [stack.ref(logical_id)]
    (found,) = account.client("ec2").describe_subnets(SubnetIds=ids)["Subnets"]
    return found


@reads("AWS::EC2::SubnetRouteTableAssociation")
def association(account: Account, stack: Stack, logical_id: str) -> Properties:
    wanted = stack.properties(logical_id)
    associations = table(account, wanted["RouteTableId"])["Associations"]
    subnets = [one.get("SubnetId") for one in associations]
    found = {"RouteTableId": wanted["RouteTableId"]}
    return found | ({"SubnetId": wanted["SubnetId"]} if wanted["SubnetId"] in subnets else {})


@reads("AWS::EC2::VPCEndpoint")
def endpoint(account: Account, stack: Stack, logical_id: str) -> Properties:
    ids = [stack.ref(logical_id)]
    (found,) = account.client("ec2").describe_vpc_endpoints(VpcEndpointIds=ids)["VpcEndpoints"]
    if found.get("PolicyDocument"):
        # moto keeps what it was given as Python writes it.
        found["PolicyDocument"] = ast.literal_eval(found["PolicyDocument"])
    return found


@reads("AWS::EC2::SecurityGroup")
def security_group(account: Account, stack: Stack, logical_id: str) -> Properties:
    ids = [stack.ref(logical_id)]
    (found,) = account.client("ec2").describe_security_groups(GroupIds=ids)["SecurityGroups"]
    assert found["IpPermissions"] == [], "nothing may come in"
    found["GroupDescription"] = found.pop("Description")
    # A new group begins with the same rule, so that it may be there twice.
    rules = {
        (rule["IpProtocol"], one["CidrIp"], one.get("Description"))
        for rule in found["IpPermissionsEgress"]
        for one in rule["IpRanges"]
    }
    found["SecurityGroupEgress"] = [
        {"IpProtocol": protocol, "CidrIp": cidr, "Description": description}
        for protocol, cidr, description in rules
    ]
    return found


@reads("AWS::EC2::LaunchTemplate")
def launch_template(account: Account, stack: Stack, logical_id: str) -> Properties:
    (found,) = account.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=stack.ref(logical_id), Versions=["$Latest"]
    )["LaunchTemplateVersions"]
    return {"LaunchTemplateData": found["LaunchTemplateData"]}
