local kumo = require 'kumo'
local other = require 'policy.other'
local gone = require 'policy.gone'
local shaping = require 'policy-extras.shapping'
