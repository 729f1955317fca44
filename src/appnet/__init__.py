"""AppNet: program the network between microservices.

The road from text to traffic, from the ground up; a room imports only from rooms of earlier lines:

``diagnostics``, ``system``, ``grpc``
``language``, ``observe``
``ir``
``interpret``
``analysis``, ``application``, ``codegen``, ``state``
``optimize``
``measure``, ``samples``
``processors``
``behaviour``, ``compile``
``control``
``dashboard``
``deploy``, ``editor``
``cli``
"""

__version__ = "0.2.0"
